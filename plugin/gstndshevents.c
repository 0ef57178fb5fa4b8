/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how events cross to another process: as items of a frame's metadata, each a kind
 * and the text of a structure or tag list.
 */
#include "gstndshevents.h"

#include <string.h>

#include "gstndshmeta.h"
#include "gstndshtext.h"

enum {
  STREAM_TAGS,
  GLOBAL_TAGS,
  STICKY,
  ONCE
};

/* Metas of the frame find room as well. Each event is compared with each. */
#define MAX_EVENTS_SIZE (NDSH_MAX_METADATA / 2)
#define MAX_EVENTS 64
#define MAX_TAG_SIZE 4096       /* of one as text */

#define METAS "GstNdshMetas"

/* gdppay writes 16 bits of an event's type, and gdpdepay makes an event of those. */
#define GDP_TYPE(type) ((guint) (type) & 0xffff)

typedef struct {
  guint8 kind;
  char *name;                   /* of the structure; of sticky ones the last counts */
  char *text;
} Event;

struct _GstNdshEvents {
  GPtrArray *list;              /* Event * */
  GByteArray *metas;            /* items */
  guint64 metas_number;         /* of their event, 0 for none */
  gsize size;                   /* of all that follows from them */
};

static void
event_free (gpointer data)
{
  Event *event = data;

  g_free (event->name);
  g_free (event->text);
  g_free (event);
}

/* --- The writer's side ---------------------------------------------------- */

GstNdshEvents *
gst_ndsh_events_new (void)
{
  GstNdshEvents *events = g_new0 (GstNdshEvents, 1);

  events->list = g_ptr_array_new_with_free_func (event_free);
  events->metas = g_byte_array_new ();
  return events;
}

void
gst_ndsh_events_free (GstNdshEvents *events)
{
  g_ptr_array_unref (events->list);
  g_byte_array_unref (events->metas);
  g_free (events);
}

/* Head of the item, kind, and NUL. */
static gsize
get_size (const char *text)
{
  return 8 + 1 + strlen (text) + 1;
}

static void
remove_event (GstNdshEvents *events, guint i)
{
  events->size -= get_size (((Event *) events->list->pdata[i])->text);
  g_ptr_array_remove_index (events->list, i);
}

static void
remove_if (GstNdshEvents *events, guint8 kind, const char *name)
{
  for (guint i = events->list->len; i-- > 0;) {
    const Event *event = events->list->pdata[i];

    if (event->kind == kind && (name == NULL || strcmp (event->name, name) == 0))
      remove_event (events, i);
  }
}

/* Takes @text. */
static void
add (GstNdshEvents *events, guint8 kind, const char *name, char *text)
{
  Event *event;

  if (kind != ONCE)
    remove_if (events, kind, name);
  if (!gst_ndsh_text_is_structure (text) || events->list->len == MAX_EVENTS
      || events->size + get_size (text) > MAX_EVENTS_SIZE) {
    GST_INFO ("event %s does not cross to readers: it is too long, one of too many with "
              "one frame, or has values that are structures themselves", name);
    g_free (text);
    return;
  }
  event = g_new (Event, 1);
  event->kind = kind;
  event->name = g_strdup (name);
  event->text = text;
  events->size += get_size (text);
  g_ptr_array_add (events->list, event);
}

/* Pictures and other samples are no text; and one value that is too long, as lyrics may be,
 * does not keep the rest. */
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

static void
note_tags (GstNdshEvents *events, GstEvent *event)
{
  g_autoptr (GstTagList) copy = gst_tag_list_new_empty ();
  GstTagList *tags;

  gst_event_parse_tag (event, &tags);
  gst_tag_list_foreach (tags, copy_tag, copy);
  add (events,
       gst_tag_list_get_scope (tags) == GST_TAG_SCOPE_GLOBAL ? GLOBAL_TAGS : STREAM_TAGS,
       "taglist", gst_tag_list_to_string (copy));
}

static void
copy_metas (GByteArray *metas, const guint8 *metadata, gsize size)
{
  NdshItem item = { 0 };

  while (ndsh_metadata_next (metadata, size, &item))
    if (gst_ndsh_tag_is_meta (item.tag))
      ndsh_metadata_append (metas, item.tag, item.data, item.size);
}

static void
forget_metas (GstNdshEvents *events)
{
  events->size -= events->metas->len;
  g_byte_array_set_size (events->metas, 0);
  events->metas_number = 0;
}

static void
note_metas (GstNdshEvents *events, const GstStructure *structure)
{
  g_autoptr (GstBuffer) buffer = NULL;
  guint64 number;
  GstMapInfo map;

  /* A decoder that waited for a key frame gives what came before it in any order. */
  if (!gst_structure_get_uint64 (structure, "frame", &number)
      || number == 0 || number < events->metas_number)
    return;
  forget_metas (events);
  events->metas_number = number;
  if (!gst_structure_get (structure, "items", GST_TYPE_BUFFER, &buffer, NULL)
      || !gst_buffer_map (buffer, &map, GST_MAP_READ))
    return;
  if (events->size + map.size <= MAX_EVENTS_SIZE)
    copy_metas (events->metas, map.data, map.size);
  else
    GST_INFO ("metas of %" G_GSIZE_FORMAT " bytes, that came as an event, are too long",
              map.size);
  events->size += events->metas->len;
  gst_buffer_unmap (buffer, &map);
}

GstEvent *
gst_ndsh_events_new_metas (guint64 number, const guint8 *metadata, gsize size)
{
  GstStructure *structure = gst_structure_new (METAS, "frame", G_TYPE_UINT64, number, NULL);
  g_autoptr (GByteArray) metas = g_byte_array_new ();
  g_autoptr (GstBuffer) buffer = NULL;

  copy_metas (metas, metadata, size);
  if (metas->len > 0) {
    buffer = gst_buffer_new_allocate (NULL, metas->len, NULL);
    gst_buffer_fill (buffer, 0, metas->data, metas->len);
    gst_structure_set (structure, "items", GST_TYPE_BUFFER, buffer, NULL);
  }
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM, structure);
}

static void
note_custom (GstNdshEvents *events, GstEvent *event, guint8 kind)
{
  const GstStructure *structure = gst_event_get_structure (event);

  if (structure != NULL && kind == ONCE && gst_structure_has_name (structure, METAS))
    note_metas (events, structure);
  /* Its times are this pipeline's. */
  else if (structure != NULL && !gst_structure_has_name (structure, "GstForceKeyUnit"))
    add (events, kind, gst_structure_get_name (structure),
         gst_structure_to_string (structure));
}

void
gst_ndsh_events_note (GstNdshEvents *events, GstEvent *event)
{
  switch ((guint) GST_EVENT_TYPE (event)) {
  case GST_EVENT_STREAM_START:
    remove_if (events, STREAM_TAGS, NULL);
    remove_if (events, STICKY, NULL);
    break;
  case GST_EVENT_TAG:
    note_tags (events, event);
    break;
  case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
  case GDP_TYPE (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY):
    note_custom (events, event, STICKY);
    break;
  case GST_EVENT_CUSTOM_DOWNSTREAM:
  case GDP_TYPE (GST_EVENT_CUSTOM_DOWNSTREAM):
    note_custom (events, event, ONCE);
    break;
  case GST_EVENT_FLUSH_STOP:
    gst_ndsh_events_done (events);
    break;
  default:
    break;
  }
}

void
gst_ndsh_events_append (const GstNdshEvents *events, GByteArray *metadata)
{
  for (guint i = 0; i < events->list->len; i++) {
    const Event *event = events->list->pdata[i];
    gsize size = 1 + strlen (event->text) + 1;
    g_autofree guint8 *data = g_malloc (size);

    data[0] = event->kind;
    memcpy (data + 1, event->text, size - 1);
    ndsh_metadata_append (metadata, GST_NDSH_TAG_EVENT, data, size);
  }
  if (events->metas->len > 0)
    copy_metas (metadata, events->metas->data, events->metas->len);
}

void
gst_ndsh_events_done (GstNdshEvents *events)
{
  remove_if (events, ONCE, NULL);
  if (events->metas_number > 0)
    forget_metas (events);
}

/* --- A reader's side ------------------------------------------------------ */

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

static GstEvent *
make_tags (const char *text, GstTagScope scope)
{
  GstStructure *structure = gst_ndsh_structure_from_text (text);
  GstTagList *tags;

  if (structure == NULL)
    return NULL;
  tags = gst_tag_list_new_empty ();
  gst_structure_foreach (structure, add_known_tag, tags);
  gst_structure_free (structure);
  gst_tag_list_set_scope (tags, scope);
  return gst_event_new_tag (tags);
}

static GstEvent *
make_custom (const char *text, GstEventType type)
{
  GstStructure *structure = gst_ndsh_structure_from_text (text);

  return structure != NULL ? gst_event_new_custom (type, structure) : NULL;
}

static GstEvent *
make_event (const NdshItem *item)
{
  const guint8 *data = item->data;
  const char *text = (const char *) data + 1;

  if (item->size < 2 || data[item->size - 1] != '\0')
    return NULL;
  switch (data[0]) {
  case STREAM_TAGS:
    return make_tags (text, GST_TAG_SCOPE_STREAM);
  case GLOBAL_TAGS:
    return make_tags (text, GST_TAG_SCOPE_GLOBAL);
  case STICKY:
    return make_custom (text, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY);
  case ONCE:
    return make_custom (text, GST_EVENT_CUSTOM_DOWNSTREAM);
  default:
    return NULL;
  }
}

static gboolean
is_once (const NdshItem *item)
{
  return item->size > 0 && *(const guint8 *) item->data == ONCE;
}

static gboolean
contains (const GByteArray *items, const NdshItem *wanted)
{
  NdshItem item = { 0 };

  while (ndsh_metadata_next (items->data, items->len, &item))
    if (item.size == wanted->size && memcmp (item.data, wanted->data, item.size) == 0)
      return TRUE;
  return FALSE;
}

/* To those that ride with the frame of @metadata. */
static void
replace_sticky (GByteArray *sticky, const guint8 *metadata, gsize size)
{
  NdshItem item = { 0 };

  g_byte_array_set_size (sticky, 0);
  for (guint n = 0; n < MAX_EVENTS && ndsh_metadata_next (metadata, size, &item); n++)
    if (item.tag == GST_NDSH_TAG_EVENT && !is_once (&item))
      ndsh_metadata_append (sticky, item.tag, item.data, item.size);
}

static gboolean
has_kind (const guint8 *metadata, gsize size, guint8 kind)
{
  NdshItem item = { 0 };

  while (ndsh_metadata_next (metadata, size, &item))
    if (item.tag == GST_NDSH_TAG_EVENT && item.size > 0
        && *(const guint8 *) item.data == kind)
      return TRUE;
  return FALSE;
}

/* Tags that are gone, as in a new stream, are none from now on. */
static GList *
end_tags (GList *list, const guint8 *metadata, gsize size, const GByteArray *sticky)
{
  static const struct {
    guint8 kind;
    GstTagScope scope;
  } kinds[] = { { STREAM_TAGS, GST_TAG_SCOPE_STREAM },
                { GLOBAL_TAGS, GST_TAG_SCOPE_GLOBAL } };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (has_kind (sticky->data, sticky->len, kinds[i].kind)
        && !has_kind (metadata, size, kinds[i].kind))
      list = g_list_prepend (list, make_tags ("taglist;", kinds[i].scope));
  return list;
}

GList *
gst_ndsh_events_read (const guint8 *metadata, gsize size, GByteArray *sticky)
{
  GList *list = end_tags (NULL, metadata, size, sticky);
  NdshItem item = { 0 };
  guint n = 0;

  while (n < MAX_EVENTS && ndsh_metadata_next (metadata, size, &item)) {
    GstEvent *event = NULL;

    if (item.tag != GST_NDSH_TAG_EVENT)
      continue;
    n++;
    if (is_once (&item) || !contains (sticky, &item))
      event = make_event (&item);
    if (event != NULL)
      list = g_list_prepend (list, event);
  }
  replace_sticky (sticky, metadata, size);
  return g_list_reverse (list);
}
