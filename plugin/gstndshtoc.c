/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how a table of contents crosses to another process: an entry's level says which of
 * the entries before it it belongs to.
 */
#include "gstndshtoc.h"

#include "gstndshtags.h"
#include "gstndshtext.h"

#define MAX_LEVELS 8

static void
append_line (GString *text, GstStructure *line, const GstTagList *tags)
{
  g_autofree char *tags_text = tags != NULL ? gst_ndsh_tags_to_text (tags) : NULL;
  g_autofree char *line_text = NULL;

  if (tags_text != NULL)
    gst_structure_set (line, "tags", G_TYPE_STRING, tags_text, NULL);
  line_text = gst_structure_to_string (line);
  g_string_append_printf (text, "%s\n", line_text);
  gst_structure_free (line);
}

static void
append_entries (GString *text, GList *entries, guint level)
{
  for (GList *l = entries; l != NULL && level < MAX_LEVELS; l = l->next) {
    const GstTocEntry *entry = l->data;
    gint64 start = -1, stop = -1;

    gst_toc_entry_get_start_stop_times (entry, &start, &stop);
    append_line (text,
                 gst_structure_new (
                   "entry", "level", G_TYPE_UINT, level, "type", G_TYPE_INT,
                   (gint) gst_toc_entry_get_entry_type (entry), "uid", G_TYPE_STRING,
                   gst_toc_entry_get_uid (entry), "start", G_TYPE_INT64, start, "stop",
                   G_TYPE_INT64, stop, NULL),
                 gst_toc_entry_get_tags (entry));
    append_entries (text, gst_toc_entry_get_sub_entries (entry), level + 1);
  }
}

char *
gst_ndsh_toc_to_text (const GstToc *toc)
{
  GString *text = g_string_new (NULL);

  append_line (text,
               gst_structure_new ("toc", "scope", G_TYPE_INT,
                                  (gint) gst_toc_get_scope (toc), NULL),
               gst_toc_get_tags (toc));
  append_entries (text, gst_toc_get_entries (toc), 0);
  g_string_truncate (text, text->len - 1);
  return g_string_free (text, FALSE);
}

static GstTagList *
get_tags (const GstStructure *line)
{
  const char *text = gst_structure_get_string (line, "tags");

  return text != NULL ? gst_ndsh_tags_from_text (text) : NULL;
}

static GstTocEntry *
make_entry (const GstStructure *line)
{
  const char *uid = gst_structure_get_string (line, "uid");
  GstTagList *tags = get_tags (line);
  gint64 start = -1, stop = -1;
  GstTocEntry *entry;
  gint type = 0;

  gst_structure_get (line, "type", G_TYPE_INT, &type, NULL);
  gst_structure_get (line, "start", G_TYPE_INT64, &start, "stop", G_TYPE_INT64, &stop,
                     NULL);
  entry = gst_toc_entry_new ((GstTocEntryType) type, uid != NULL ? uid : "");
  gst_toc_entry_set_start_stop_times (entry, start, stop);
  if (tags != NULL)
    gst_toc_entry_set_tags (entry, tags);
  return entry;
}

/* @parents: of each level the last, which the next level's belong to. */
static void
add_entry (GstToc *toc, GstTocEntry **parents, const GstStructure *line)
{
  guint level = 0;
  GstTocEntry *entry;

  gst_structure_get (line, "level", G_TYPE_UINT, &level, NULL);
  if (level >= MAX_LEVELS || (level > 0 && parents[level - 1] == NULL))
    return;
  entry = make_entry (line);
  if (level == 0)
    gst_toc_append_entry (toc, entry);
  else
    gst_toc_entry_append_sub_entry (parents[level - 1], entry);
  parents[level] = entry;
  for (guint i = level + 1; i < MAX_LEVELS; i++)
    parents[i] = NULL;
}

static GstToc *
make_toc (const GstStructure *line)
{
  GstTagList *tags = get_tags (line);
  gint scope = GST_TOC_SCOPE_GLOBAL;
  GstToc *toc;

  gst_structure_get (line, "scope", G_TYPE_INT, &scope, NULL);
  toc = gst_toc_new (scope == GST_TOC_SCOPE_CURRENT ? GST_TOC_SCOPE_CURRENT
                                                    : GST_TOC_SCOPE_GLOBAL);
  if (tags != NULL)
    gst_toc_set_tags (toc, tags);
  return toc;
}

GstToc *
gst_ndsh_toc_from_text (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GstTocEntry *parents[MAX_LEVELS] = { NULL };
  GstToc *toc = NULL;

  for (guint i = 0; lines[i] != NULL; i++) {
    GstStructure *line = gst_ndsh_structure_from_text (lines[i]);

    if (line == NULL)
      continue;
    if (toc == NULL)
      toc = make_toc (line);
    else
      add_entry (toc, parents, line);
    gst_structure_free (line);
  }
  /* Some elements take the first for granted. */
  if (toc != NULL && gst_toc_get_entries (toc) == NULL) {
    gst_toc_unref (toc);
    return NULL;
  }
  return toc;
}
