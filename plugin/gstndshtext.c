/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides what GStreamer's parser must not be given. It was made for what programmers
 * write; of what a writer may send, it
 *
 *   - parses lists in lists by recursion without a bound, so 64 KiB can be more than a stack;
 *   - up to 1.24 uses a buffer after it has freed it, if its text is not hexadecimal;
 *   - parses what is in the quotes of some kinds of values again, where neither can be seen;
 *   - complains aloud of ranges that cannot be, which what a frame is has no use for.
 */
#include "gstndshtext.h"

#include <string.h>

#define MAX_DEPTH 32            /* of lists in lists */

static void
skip_space (const char **at)
{
  while (g_ascii_isspace (**at))
    (*at)++;
}

/* Bytes in hexadecimal, up to what ends a value. */
static gboolean
skip_hex (const char **at)
{
  gsize n = 0;

  skip_space (at);
  for (; g_ascii_isxdigit (**at); (*at)++)
    n++;
  skip_space (at);
  return n % 2 == 0 && strchr (",;}>", **at) != NULL;   /* or the end */
}

/* Behind "(buffer)": bytes, or a list of bytes. A list whose items say again that they are
 * buffers has their own brackets. */
static gboolean
is_hex (const char *at)
{
  skip_space (&at);
  if (*at != '<' && *at != '{')
    return skip_hex (&at);
  do {
    at++;
    skip_space (&at);
    if (*at == '(')
      return TRUE;
    if (!skip_hex (&at))
      return FALSE;
  } while (*at == ',');
  return *at == '>' || *at == '}';
}

/* Values that are text within text. */
static gboolean
is_nested (const char *name)
{
  static const char *const short_names[]
    = { "structure", "caps", "sample", "taglist", "structures" };
  GType type = g_type_from_name (name);

  for (guint i = 0; i < G_N_ELEMENTS (short_names); i++)
    if (strcmp (short_names[i], name) == 0)
      return TRUE;
  return type != 0 && g_type_is_a (type, G_TYPE_BOXED) && type != G_TYPE_DATE
         && type != GST_TYPE_DATE_TIME;
}

/* Behind a '(', which mostly begins the name of a type. */
static gboolean
is_safe_value (const char *at)
{
  g_autofree char *name = NULL;
  gsize length;

  skip_space (&at);
  length = strcspn (at, " \t\n\v\f\r)");
  name = g_strndup (at, MIN (length, 64));
  at += length;
  skip_space (&at);
  if (*at != ')')
    return TRUE;                /* no type */
  if (strcmp (name, "buffer") == 0 || strcmp (name, "GstBuffer") == 0)
    return is_hex (at + 1);
  return !is_nested (name);
}

gboolean
gst_ndsh_text_is_safe (const char *text)
{
  guint depth = 0;

  /* Also in quotes: nobody has so many brackets there, nor such types. */
  for (const char *at = text; *at != '\0'; at++) {
    if ((*at == '{' || *at == '<') && ++depth > MAX_DEPTH)
      return FALSE;
    if ((*at == '}' || *at == '>') && depth > 0)
      depth--;
    if (*at == '[' && (at == text || at[-1] != '\\'))
      return FALSE;
    if (*at == '(' && !is_safe_value (at + 1))
      return FALSE;
  }
  return TRUE;
}

/* --- Names, of which GStreamer complains aloud if they cannot be ----------- */

static gboolean
skip_name (const char **at)
{
  skip_space (at);
  if (!g_ascii_isalpha (**at))
    return FALSE;
  while (g_ascii_isalnum (**at) || (**at != '\0' && strchr ("/-_.:+", **at) != NULL))
    (*at)++;
  skip_space (at);
  return TRUE;
}

/* "(memory:SystemMemory, format:Interlaced)", or nothing. */
static gboolean
skip_features (const char **at)
{
  if (**at != '(')
    return TRUE;
  do {
    (*at)++;
    skip_space (at);
    if (!g_ascii_islower (**at))
      return FALSE;
    while (g_ascii_islower (**at))
      (*at)++;
    if (**at != ':' || !g_ascii_isalpha (*++*at))
      return FALSE;
    while (g_ascii_isalnum (**at))
      (*at)++;
    skip_space (at);
  } while (**at == ',');
  if (**at != ')')
    return FALSE;
  (*at)++;
  skip_space (at);
  return TRUE;
}

/* What follows are fields; or it is the end. */
static gboolean
is_over (const char *at)
{
  return *at == '\0' || *at == ',' || *at == ';';
}

GstStructure *
gst_ndsh_structure_from_text (const char *text)
{
  const char *at = text;

  return skip_name (&at) && is_over (at) && gst_ndsh_text_is_safe (text)
           ? gst_structure_from_string (text, NULL)
           : NULL;
}

GstCaps *
gst_ndsh_caps_from_text (const char *text)
{
  const char *at = text;

  return skip_name (&at) && skip_features (&at) && is_over (at)
             && gst_ndsh_text_is_safe (text)
           ? gst_caps_from_string (text)
           : NULL;
}
