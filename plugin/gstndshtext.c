/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides what GStreamer's parser can be given. It was made for what programmers write. Of
 * what a stranger may send, it needs stack without a bound for lists in lists, frees buffers
 * that it goes on to use (up to 1.24), parses the text within some kinds of values again,
 * and complains aloud of much that cannot be. So a text has to be this, and nothing else:
 *
 *   structure  name { "," field "=" value } [ ";" ]
 *   caps       the same, with "(" feature { "," feature } ")" behind the name
 *   value      [ "(" type ")" ] ( item | "<" values ">" | "{" values "}" )
 *   item       a word, as the type has it, or for strings a quoted text
 *
 * where types are numbers, boolean, string, fraction, buffer, bitmask, date, datetime, and
 * enums, flags and flag sets that are registered.
 *
 * An item that does not fit its type makes the parser refuse the whole, and forget to free
 * the list that it is in, or a long name. So each is tried by itself before.
 */
#include "gstndshtext.h"

#include <string.h>

#define MAX_DEPTH 8             /* of lists in lists */
#define MAX_NAME 256            /* bytes */
#ifndef MAX_NAMES
#define MAX_NAMES 10000         /* that strangers may add to those of this process */
#endif

typedef enum {
  NO_TYPE,                      /* a word may be anything that it looks like */
  PLAIN,                        /* the parser refuses what does not fit */
  TEXT,
  FRACTION,
  BUFFER
} Type;

static void
skip_space (const char **at)
{
  while (g_ascii_isspace (**at))
    (*at)++;
}

static gboolean
is_word (char c)
{
  return g_ascii_isalnum (c) || (c != '\0' && strchr ("_-+/:.", c) != NULL);
}

/* A word, copied: NULL if there is none, or a longer one than any can be. */
static char *
take_word (const char **at)
{
  const char *start = *at;

  while (is_word (**at))
    (*at)++;
  return *at > start && *at - start <= MAX_NAME ? g_strndup (start, (gsize) (*at - start))
                                                : NULL;
}

/* --- Names ---------------------------------------------------------------- */

gboolean
gst_ndsh_may_use_name (const char *name)
{
  static gint n_names;

  if (strlen (name) > MAX_NAME)
    return FALSE;
  if (g_quark_try_string (name) != 0)
    return TRUE;
  if (g_atomic_int_get (&n_names) >= MAX_NAMES)
    return FALSE;
  g_atomic_int_inc (&n_names);
  /* Which is not sure to become one otherwise: fields' names are none from 1.26 on. */
  g_quark_from_string (name);
  return TRUE;
}

static gboolean
skip_name (const char **at)
{
  g_autofree char *name = NULL;

  skip_space (at);
  if (!g_ascii_isalpha (**at))
    return FALSE;
  name = take_word (at);
  skip_space (at);
  return name != NULL && gst_ndsh_may_use_name (name);
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

/* --- Types ---------------------------------------------------------------- */

static gboolean
is_one_of (const char *name, const char *const *names)
{
  for (; *names != NULL; names++)
    if (strcmp (*names, name) == 0)
      return TRUE;
  return FALSE;
}

/* Not their bases, of which there are no values. */
static gboolean
is_enumeration (const char *name)
{
  GType type = g_type_from_name (name);

  return type != 0 && type != G_TYPE_ENUM && type != G_TYPE_FLAGS
         && (g_type_is_a (type, G_TYPE_ENUM) || g_type_is_a (type, G_TYPE_FLAGS)
             || g_type_is_a (type, GST_TYPE_FLAG_SET));
}

/* @type: and its @length bytes of the text that name it */
typedef struct {
  Type type;
  const char *name;
  gsize length;
} Cast;

static gboolean
find_type (const char *name, Type *type)
{
  static const char *const plain[]
    = { "int",     "i",        "gint",    "uint",    "u",    "guint",  "gint64",  "guint64",
        "int64",   "uint64",   "float",   "f",       "gfloat", "double", "d",     "gdouble",
        "boolean", "bool",     "b",       "gboolean", "bitmask", "GstBitmask", "flagset",
        "GDate",   "date",     "datetime", "GstDateTime", "guchar", "uchar", "glong",
        "gulong",  NULL };
  static const char *const text[] = { "string", "str", "s", "gchararray", NULL };
  static const char *const fraction[] = { "fraction", "GstFraction", NULL };
  static const char *const buffer[] = { "buffer", "GstBuffer", NULL };

  if (is_one_of (name, text))
    *type = TEXT;
  else if (is_one_of (name, fraction))
    *type = FRACTION;
  else if (is_one_of (name, buffer))
    *type = BUFFER;
  else if (is_one_of (name, plain) || is_enumeration (name))
    *type = PLAIN;
  else
    return FALSE;
  return TRUE;
}

/* "(type)", or nothing: then it is that of the list. */
static gboolean
skip_type (const char **at, Cast *cast)
{
  g_autofree char *name = NULL;

  skip_space (at);
  if (**at != '(')
    return TRUE;
  (*at)++;
  skip_space (at);
  cast->name = *at;
  name = take_word (at);
  cast->length = (gsize) (*at - cast->name);
  skip_space (at);
  if (name == NULL || **at != ')' || !find_type (name, &cast->type))
    return FALSE;
  (*at)++;
  skip_space (at);
  return TRUE;
}

/* --- Values --------------------------------------------------------------- */

/* An empty one without a type is warned of. */
static gboolean
skip_quoted (const char **at, Type type)
{
  if (type != TEXT && (type != NO_TYPE || (*at)[1] == '"'))
    return FALSE;
  for ((*at)++; **at != '"'; (*at)++) {
    if (**at == '\\')
      (*at)++;
    if (**at == '\0')
      return FALSE;
  }
  (*at)++;
  return TRUE;
}

static gboolean
is_hex (const char *word)
{
  gsize n = 0;

  for (; g_ascii_isxdigit (*word); word++)
    n++;
  return *word == '\0' && n % 2 == 0;
}

/* The least number of 32 bits cannot be in one, nor 0 below. */
static gboolean
is_fraction (const char *word)
{
  const char *slash = strchr (word, '/');
  gint64 n = g_ascii_strtoll (word, NULL, 10);
  gint64 d = slash != NULL ? g_ascii_strtoll (slash + 1, NULL, 10) : 1;

  return n > G_MININT && n <= G_MAXINT && d > G_MININT && d <= G_MAXINT && d != 0;
}

static gboolean
skip_word (const char **at, Type type)
{
  const char *start = *at;
  g_autofree char *word = NULL;

  while (is_word (**at))
    (*at)++;
  if (*at == start)
    return FALSE;
  word = g_strndup (start, (gsize) (*at - start));
  if (type == BUFFER)
    return is_hex (word);
  if (type == FRACTION
      || (type == NO_TYPE && strspn (word, "+-0123456789/") == strlen (word)))
    return is_fraction (word);
  return TRUE;
}

/* Which fits each type of numbers but the smallest. */
static gboolean
is_small_number (const Cast *cast, const char *item, gsize length)
{
  static const char *const types[] = { "int", "uint", "gint", "guint", "gint64", "guint64" };

  if (length > 9 || strspn (item, "0123456789") < length || (*item == '0' && length > 1))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (strlen (types[i]) == cast->length
        && strncmp (types[i], cast->name, cast->length) == 0)
      return TRUE;
  return FALSE;
}

/* What most items are, and cannot fail. */
static gboolean
is_plain (const Cast *cast, const char *item, gsize length)
{
  if (cast->type == TEXT || cast->type == NO_TYPE) {
    for (gsize i = 0; i < length; i++)
      if (!g_ascii_isprint (item[i]) || item[i] == '\\')
        return FALSE;
    return TRUE;
  }
  return cast->type == BUFFER || is_small_number (cast, item, length);
}

static gboolean
is_taken (const Cast *cast, const char *item, gsize length)
{
  g_autofree char *text = NULL;
  GstStructure *structure;

  if (is_plain (cast, item, length))
    return TRUE;
  text = cast->name != NULL
           ? g_strdup_printf ("x,x=(%.*s)%.*s", (int) cast->length, cast->name,
                              (int) length, item)
           : g_strdup_printf ("x,x=%.*s", (int) length, item);
  structure = gst_structure_from_string (text, NULL);
  if (structure != NULL)
    gst_structure_free (structure);
  return structure != NULL;
}

static gboolean
skip_item (const char **at, const Cast *cast)
{
  const char *start = *at;
  gboolean skipped
    = *start == '"' ? skip_quoted (at, cast->type) : skip_word (at, cast->type);

  return skipped && is_taken (cast, start, (gsize) (*at - start));
}

/* @cast: that of the list it is in */
static gboolean
skip_value (const char **at, Cast cast, guint depth)
{
  char end;

  if (depth > MAX_DEPTH || !skip_type (at, &cast))
    return FALSE;
  if (**at != '<' && **at != '{')
    return skip_item (at, &cast);
  end = **at == '<' ? '>' : '}';
  (*at)++;
  skip_space (at);
  while (**at != end) {
    if (!skip_value (at, cast, depth + 1))
      return FALSE;
    skip_space (at);
    if (**at == ',')
      (*at)++;
    else if (**at != end)
      return FALSE;
  }
  (*at)++;
  return TRUE;
}

static gboolean
are_fields (const char *at)
{
  while (*at == ',') {
    at++;
    if (!skip_name (&at) || *at != '=')
      return FALSE;
    at++;
    if (!skip_value (&at, (Cast) { NO_TYPE, NULL, 0 }, 0))
      return FALSE;
    skip_space (&at);
  }
  if (*at == ';')
    at++;
  skip_space (&at);
  return *at == '\0';
}

/* --- The whole ------------------------------------------------------------ */

gboolean
gst_ndsh_text_is_structure (const char *text)
{
  return skip_name (&text) && are_fields (text);
}

gboolean
gst_ndsh_text_is_caps (const char *text)
{
  return skip_name (&text) && skip_features (&text) && are_fields (text);
}

GstStructure *
gst_ndsh_structure_from_text (const char *text)
{
  return gst_ndsh_text_is_structure (text) ? gst_structure_from_string (text, NULL) : NULL;
}

GstCaps *
gst_ndsh_caps_from_text (const char *text)
{
  return gst_ndsh_text_is_caps (text) ? gst_caps_from_string (text) : NULL;
}
