/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how tags cross to another process.
 */
#include "gstndshtags.h"

#include <string.h>

#include "gstndshtext.h"

#define MAX_TAG_SIZE 4096       /* of one as text */

/* One value that is too long, as lyrics may be, does not keep the rest. */
static void
copy_tag (const GstTagList *tags, const char *tag, gpointer to)
{
  GType type = gst_tag_get_type (tag);

  if (type == GST_TYPE_SAMPLE || type == GST_TYPE_BUFFER)
    return;
  for (guint i = 0; i < gst_tag_list_get_tag_size (tags, tag); i++) {
    const GValue *value = gst_tag_list_get_value_index (tags, tag, i);
    g_autofree char *text = gst_value_serialize (value);

    if (text != NULL && strlen (text) <= MAX_TAG_SIZE)
      gst_tag_list_add_value (to, GST_TAG_MERGE_APPEND, tag, value);
  }
}

char *
gst_ndsh_tags_to_text (const GstTagList *tags)
{
  g_autoptr (GstTagList) copy = gst_tag_list_new_empty ();

  gst_tag_list_foreach (tags, copy_tag, copy);
  return gst_tag_list_to_string (copy);
}

static void
add_tag_value (GstTagList *tags, const char *tag, const GValue *value)
{
  if (G_VALUE_TYPE (value) == gst_tag_get_type (tag))
    gst_tag_list_add_value (tags, GST_TAG_MERGE_APPEND, tag, value);
}

/* Others, or of other types, GStreamer would warn of. */
static gboolean
add_known_tag (GQuark field, const GValue *value, gpointer tags)
{
  const char *tag = g_quark_to_string (field);

  if (!gst_tag_exists (tag))
    return TRUE;
  if (!GST_VALUE_HOLDS_LIST (value)) {
    add_tag_value (tags, tag, value);
    return TRUE;
  }
  for (guint i = 0; i < gst_value_list_get_size (value); i++)
    add_tag_value (tags, tag, gst_value_list_get_value (value, i));
  return TRUE;
}

GstTagList *
gst_ndsh_tags_from_text (const char *text)
{
  GstStructure *structure = gst_ndsh_structure_from_text (text);
  GstTagList *tags;

  if (structure == NULL)
    return NULL;
  tags = gst_tag_list_new_empty ();
  gst_structure_foreach (structure, add_known_tag, tags);
  gst_structure_free (structure);
  return tags;
}
