/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hides how events cross to another process: as items of metadata, each a kind and a text.
 */
#include "gstndshevents.h"

#include <string.h>

#include "gstndshmeta.h"
#include "gstndshtags.h"
#include "gstndshtext.h"
#include "gstndshtoc.h"

/* As doc/protocol.md numbers them. */
typedef enum {
  STREAM_TAGS,
  GLOBAL_TAGS,
  STICKY,
  ONCE,
  GAP,
  FLUSH,
  START,
  COLLECTION,
  TOC
} Kind;

/* Metas of the frame find room as well. Each event is compared with each. */
#define MAX_EVENTS_SIZE (NDSH_MAX_METADATA / 2)
#define MAX_EVENTS 64

#define METAS "GstNdshMetas"

/* gdppay writes 16 bits of an event's type, and gdpdepay makes an event of those. */
#define GDP_TYPE(type) ((guint) (type) & 0xffff)

typedef struct {
  Kind kind;
  char *name;                   /* of the structure; of sticky ones the last counts */
  char *text;
} Event;

typedef struct {
  GPtrArray *events;            /* Event * */
  gsize size;                   /* of all that follows from them */
} List;

struct _GstNdshEvents {
  List of_stream;
  List next;                    /* frame's */
  gboolean has_gap;             /* before it, after the others */
  gint64 gap_start;
  gint64 gap_end;               /* or -1 */
  GByteArray *metas;            /* items, that came as an event */
  guint64 metas_number;         /* of that event, 0 for none */
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

static void
list_init (List *list)
{
  list->events = g_ptr_array_new_with_free_func (event_free);
}

GstNdshEvents *
gst_ndsh_events_new (void)
{
  GstNdshEvents *events = g_new0 (GstNdshEvents, 1);

  list_init (&events->of_stream);
  list_init (&events->next);
  events->metas = g_byte_array_new ();
  return events;
}

void
gst_ndsh_events_free (GstNdshEvents *events)
{
  g_ptr_array_unref (events->of_stream.events);
  g_ptr_array_unref (events->next.events);
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
remove_if (List *list, Kind kind, const char *name)
{
  for (guint i = list->events->len; i-- > 0;) {
    const Event *event = list->events->pdata[i];

    if (event->kind != kind || (name != NULL && strcmp (event->name, name) != 0))
      continue;
    list->size -= get_size (event->text);
    g_ptr_array_remove_index (list->events, i);
  }
}

static gboolean
may_cross (Kind kind, const char *text)
{
  g_auto (GStrv) lines = NULL;

  if (kind != TOC)
    return gst_ndsh_text_is_structure (text);
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (!gst_ndsh_text_is_structure (lines[i]))
      return FALSE;
  return TRUE;
}

/* Takes @text. */
static void
add (List *list, Kind kind, const char *name, char *text)
{
  Event *event;

  if (!may_cross (kind, text) || list->events->len == MAX_EVENTS
      || list->size + get_size (text) > MAX_EVENTS_SIZE) {
    GST_INFO ("event %s does not cross to readers: it is too long, one of too many with "
              "one frame, or has values that are structures themselves", name);
    g_free (text);
    return;
  }
  event = g_new (Event, 1);
  event->kind = kind;
  event->name = g_strdup (name);
  event->text = text;
  list->size += get_size (text);
  g_ptr_array_add (list->events, event);
}

/* Takes @text. Replaces what was called so. */
static gboolean
set_of_stream (GstNdshEvents *events, Kind kind, const char *name, char *text)
{
  remove_if (&events->of_stream, kind, name);
  add (&events->of_stream, kind, name, text);
  return TRUE;
}

/* Takes @structure. */
static gboolean
set_structure (GstNdshEvents *events, Kind kind, GstStructure *structure)
{
  gboolean done = set_of_stream (events, kind, gst_structure_get_name (structure),
                                 gst_structure_to_string (structure));

  gst_structure_free (structure);
  return done;
}

/* With what its GstStream says and is not in other events as well. */
static gboolean
note_start (GstNdshEvents *events, GstEvent *event)
{
  GstStreamFlags flags = GST_STREAM_FLAG_NONE;
  GstStream *stream = NULL;
  GstStructure *structure;
  const char *id;

  remove_if (&events->of_stream, STREAM_TAGS, NULL);
  remove_if (&events->of_stream, STICKY, NULL);
  remove_if (&events->of_stream, COLLECTION, NULL);
  remove_if (&events->of_stream, TOC, NULL);
  gst_event_parse_stream_start (event, &id);
  gst_event_parse_stream_flags (event, &flags);
  gst_event_parse_stream (event, &stream);
  structure = gst_structure_new ("stream-start", "stream-id", G_TYPE_STRING, id, "flags",
                                 G_TYPE_UINT, (guint) flags, NULL);
  if (stream != NULL)
    gst_structure_set (structure, "type", G_TYPE_UINT,
                       (guint) gst_stream_get_stream_type (stream), NULL);
  g_clear_pointer (&stream, gst_object_unref);
  return set_structure (events, START, structure);
}

/* Of the streams in it the one that crosses is told of with its start. */
static gboolean
note_collection (GstNdshEvents *events, GstEvent *event)
{
  GstStreamCollection *collection = NULL;
  const char *id;

  gst_event_parse_stream_collection (event, &collection);
  id = gst_stream_collection_get_upstream_id (collection);
  set_structure (events, COLLECTION,
                 gst_structure_new ("stream-collection", "upstream-id", G_TYPE_STRING,
                                    id != NULL ? id : "", NULL));
  gst_object_unref (collection);
  return TRUE;
}

static gboolean
note_tags (GstNdshEvents *events, GstEvent *event)
{
  GstTagList *tags;

  gst_event_parse_tag (event, &tags);
  return set_of_stream (
    events,
    gst_tag_list_get_scope (tags) == GST_TAG_SCOPE_GLOBAL ? GLOBAL_TAGS : STREAM_TAGS,
    "taglist", gst_ndsh_tags_to_text (tags));
}

static gboolean
note_toc (GstNdshEvents *events, GstEvent *event)
{
  GstToc *toc = NULL;

  gst_event_parse_toc (event, &toc, NULL);
  set_of_stream (events, TOC, "toc", gst_ndsh_toc_to_text (toc));
  gst_toc_unref (toc);
  return TRUE;
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
  if (events->next.size + map.size <= MAX_EVENTS_SIZE)
    copy_metas (events->metas, map.data, map.size);
  else
    GST_INFO ("metas of %" G_GSIZE_FORMAT " bytes, that came as an event, are too long",
              map.size);
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

static gboolean
note_custom (GstNdshEvents *events, GstEvent *event, Kind kind)
{
  const GstStructure *structure = gst_event_get_structure (event);
  const char *name;

  if (structure != NULL && kind == ONCE && gst_structure_has_name (structure, METAS)) {
    note_metas (events, structure);
    return FALSE;
  }
  /* Its times are this pipeline's. */
  if (structure == NULL || gst_structure_has_name (structure, "GstForceKeyUnit"))
    return FALSE;
  name = gst_structure_get_name (structure);
  if (kind == STICKY)
    return set_of_stream (events, kind, name, gst_structure_to_string (structure));
  add (&events->next, kind, name, gst_structure_to_string (structure));
  return FALSE;
}

/* What was to go with the next frame is of before the flush. */
static gboolean
note_flush (GstNdshEvents *events)
{
  gst_ndsh_events_done (events);
  add (&events->next, FLUSH, "flush", g_strdup ("flush;"));
  return FALSE;
}

gboolean
gst_ndsh_events_note (GstNdshEvents *events, GstEvent *event)
{
  switch ((guint) GST_EVENT_TYPE (event)) {
  case GST_EVENT_STREAM_START:
    return note_start (events, event);
  case GST_EVENT_STREAM_COLLECTION:
    return note_collection (events, event);
  case GST_EVENT_TAG:
    return note_tags (events, event);
  case GST_EVENT_TOC:
    return note_toc (events, event);
  case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
  case GDP_TYPE (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY):
    return note_custom (events, event, STICKY);
  case GST_EVENT_CUSTOM_DOWNSTREAM:
  case GDP_TYPE (GST_EVENT_CUSTOM_DOWNSTREAM):
    return note_custom (events, event, ONCE);
  case GST_EVENT_FLUSH_STOP:
    return note_flush (events);
  default:
    return FALSE;
  }
}

/* Those in a row are one: it begins with the first and ends with the last. */
void
gst_ndsh_events_note_gap (GstNdshEvents *events, gint64 timestamp, gint64 duration)
{
  events->gap_start = events->has_gap ? MIN (events->gap_start, timestamp) : timestamp;
  events->gap_end = duration >= 0 ? timestamp + duration : -1;
  events->has_gap = TRUE;
}

static void
append_item (GByteArray *metadata, Kind kind, const char *text)
{
  gsize size = 1 + strlen (text) + 1;
  g_autofree guint8 *data = g_malloc (size);

  data[0] = (guint8) kind;
  memcpy (data + 1, text, size - 1);
  ndsh_metadata_append (metadata, GST_NDSH_TAG_EVENT, data, size);
}

static void
append (const List *list, GByteArray *metadata)
{
  for (guint i = 0; i < list->events->len; i++) {
    const Event *event = list->events->pdata[i];

    append_item (metadata, event->kind, event->text);
  }
}

static void
append_gap (const GstNdshEvents *events, GByteArray *metadata)
{
  gint64 duration = events->gap_end >= 0 ? events->gap_end - events->gap_start : -1;
  g_autofree char *text
    = g_strdup_printf ("gap, start=(gint64)%" G_GINT64_FORMAT
                       ", duration=(gint64)%" G_GINT64_FORMAT ";",
                       events->gap_start, duration);

  append_item (metadata, GAP, text);
}

void
gst_ndsh_events_append_of_stream (const GstNdshEvents *events, GByteArray *metadata)
{
  append (&events->of_stream, metadata);
}

void
gst_ndsh_events_append (const GstNdshEvents *events, GByteArray *metadata)
{
  append (&events->next, metadata);
  if (events->has_gap)
    append_gap (events, metadata);
  if (events->metas->len > 0)
    copy_metas (metadata, events->metas->data, events->metas->len);
}

void
gst_ndsh_events_done (GstNdshEvents *events)
{
  events->has_gap = FALSE;
  if (events->metas_number > 0)
    forget_metas (events);
  if (events->next.events->len == 0)
    return;
  g_ptr_array_set_size (events->next.events, 0);
  events->next.size = 0;
}

/* --- A reader's side ------------------------------------------------------ */

static GstEvent *
make_tags (const char *text, GstTagScope scope)
{
  GstTagList *tags = gst_ndsh_tags_from_text (text);

  if (tags == NULL)
    return NULL;
  gst_tag_list_set_scope (tags, scope);
  return gst_event_new_tag (tags);
}

static GstEvent *
make_toc (const char *text)
{
  g_autoptr (GstToc) toc = gst_ndsh_toc_from_text (text);

  return toc != NULL ? gst_event_new_toc (toc, FALSE) : NULL;
}

/* Elements act on those, and take for granted what is in them; as on a DVD's. */
static gboolean
is_for_elements (const GstStructure *structure)
{
  return g_str_has_prefix (gst_structure_get_name (structure), "application/x-gst-");
}

static GstEvent *
make_custom (const char *text, GstEventType type)
{
  GstStructure *structure = gst_ndsh_structure_from_text (text);

  if (structure != NULL && is_for_elements (structure))
    g_clear_pointer (&structure, gst_structure_free);
  return structure != NULL ? gst_event_new_custom (type, structure) : NULL;
}

static GstEvent *
make_gap (const char *text)
{
  GstStructure *structure = gst_ndsh_structure_from_text (text);
  gint64 start = -1, duration = -1;

  if (structure == NULL)
    return NULL;
  gst_structure_get (structure, "start", G_TYPE_INT64, &start, "duration", G_TYPE_INT64,
                     &duration, NULL);
  gst_structure_free (structure);
  if (start < 0)
    return NULL;
  return gst_event_new_gap ((GstClockTime) start, duration >= 0 ? (GstClockTime) duration
                                                                : GST_CLOCK_TIME_NONE);
}

/* Those of @type that this GStreamer knows; it would complain of others. */
static gboolean
get_flags (const GstStructure *structure, const char *field, GType type, guint *flags)
{
  GFlagsClass *klass = g_type_class_ref (type);
  gboolean found = gst_structure_get_uint (structure, field, flags);

  *flags = found ? *flags & klass->mask : 0;
  g_type_class_unref (klass);
  return found;
}

static GstStream *
make_stream (const GstStructure *start, guint flags)
{
  guint type;

  if (!get_flags (start, "type", GST_TYPE_STREAM_TYPE, &type))
    return NULL;
  return gst_stream_new (gst_structure_get_string (start, "stream-id"), NULL,
                         (GstStreamType) type, (GstStreamFlags) flags);
}

static GstEvent *
make_start (const char *text, GstStream **stream)
{
  g_autoptr (GstStructure) start = gst_ndsh_structure_from_text (text);
  const char *id = start != NULL ? gst_structure_get_string (start, "stream-id") : NULL;
  GstEvent *event;
  guint flags;

  if (id == NULL)
    return NULL;
  get_flags (start, "flags", GST_TYPE_STREAM_FLAGS, &flags);
  event = gst_event_new_stream_start (id);
  gst_event_set_stream_flags (event, (GstStreamFlags) flags);
  *stream = make_stream (start, flags);
  if (*stream != NULL)
    gst_event_set_stream (event, *stream);
  return event;
}

/* Who selects streams of a collection waits for those: here one will come. */
static GstEvent *
make_collection (const char *text, GstStream *stream)
{
  g_autoptr (GstStructure) structure = gst_ndsh_structure_from_text (text);
  GstStreamCollection *collection;
  GstEvent *event;

  if (structure == NULL || stream == NULL)
    return NULL;
  collection
    = gst_stream_collection_new (gst_structure_get_string (structure, "upstream-id"));
  gst_stream_collection_add_stream (collection, gst_object_ref (stream));
  event = gst_event_new_stream_collection (collection);
  gst_object_unref (collection);
  return event;
}

static int
get_kind (const NdshItem *item)
{
  const guint8 *data = item->data;

  return item->tag == GST_NDSH_TAG_EVENT && item->size >= 2
             && data[item->size - 1] == '\0'
           ? data[0]
           : -1;
}

static const char *
get_text (const NdshItem *item)
{
  return (const char *) item->data + 1;
}

static GstEvent *
make_of_stream (const NdshItem *item, GstStream **stream)
{
  switch (get_kind (item)) {
  case STREAM_TAGS:
    return make_tags (get_text (item), GST_TAG_SCOPE_STREAM);
  case GLOBAL_TAGS:
    return make_tags (get_text (item), GST_TAG_SCOPE_GLOBAL);
  case STICKY:
    return make_custom (get_text (item), GST_EVENT_CUSTOM_DOWNSTREAM_STICKY);
  case START:
    return make_start (get_text (item), stream);
  case COLLECTION:
    return make_collection (get_text (item), *stream);
  case TOC:
    return make_toc (get_text (item));
  default:
    return NULL;
  }
}

static GstEvent *
make_once (const NdshItem *item)
{
  switch (get_kind (item)) {
  case ONCE:
    return make_custom (get_text (item), GST_EVENT_CUSTOM_DOWNSTREAM);
  case GAP:
    return make_gap (get_text (item));
  case FLUSH:
    return gst_event_new_flush_stop (FALSE);
  default:
    return NULL;
  }
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

/* Of the first items, as many as are heeded. */
static gboolean
has_kind (const guint8 *metadata, gsize size, Kind kind)
{
  NdshItem item = { 0 };

  for (guint n = 0; n < MAX_EVENTS && ndsh_metadata_next (metadata, size, &item); n++)
    if (get_kind (&item) == (int) kind)
      return TRUE;
  return FALSE;
}

/* Tags that are gone, as in a new stream, are none from now on. */
static GList *
end_tags (GList *list, const guint8 *metadata, gsize size, const GByteArray *given)
{
  static const struct {
    Kind kind;
    GstTagScope scope;
  } kinds[] = { { STREAM_TAGS, GST_TAG_SCOPE_STREAM },
                { GLOBAL_TAGS, GST_TAG_SCOPE_GLOBAL } };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (has_kind (given->data, given->len, kinds[i].kind)
        && !has_kind (metadata, size, kinds[i].kind))
      list = g_list_prepend (list, make_tags ("taglist;", kinds[i].scope));
  return list;
}

static gint
compare_types (gconstpointer a, gconstpointer b)
{
  gint type_a = (gint) GST_EVENT_TYPE (a), type_b = (gint) GST_EVENT_TYPE (b);

  return (type_a > type_b) - (type_a < type_b);
}

/* With a new start all are of another stream, also those that say the same. */
static gboolean
has_other_start (const guint8 *metadata, gsize size, const GByteArray *given)
{
  NdshItem item = { 0 };

  for (guint n = 0; n < MAX_EVENTS && ndsh_metadata_next (metadata, size, &item); n++)
    if (get_kind (&item) == START)
      return !contains (given, &item);
  return FALSE;
}

GList *
gst_ndsh_events_read_of_stream (const guint8 *metadata, gsize size, GByteArray *given)
{
  GList *list = end_tags (NULL, metadata, size, given);
  gboolean all = has_other_start (metadata, size, given);
  GstStream *stream = NULL;
  NdshItem item = { 0 };

  for (guint n = 0; n < MAX_EVENTS && ndsh_metadata_next (metadata, size, &item); n++) {
    GstEvent *event
      = all || !contains (given, &item) ? make_of_stream (&item, &stream) : NULL;

    if (event != NULL)
      list = g_list_prepend (list, event);
  }
  g_byte_array_set_size (given, 0);
  g_byte_array_append (given, metadata, (guint) size);
  g_clear_pointer (&stream, gst_object_unref);
  return g_list_sort (g_list_reverse (list), compare_types);
}

GList *
gst_ndsh_events_read (const guint8 *metadata, gsize size)
{
  NdshItem item = { 0 };
  GList *list = NULL;
  guint n = 0;

  while (n < MAX_EVENTS && ndsh_metadata_next (metadata, size, &item)) {
    GstEvent *event = make_once (&item);

    n += item.tag == GST_NDSH_TAG_EVENT;
    if (event != NULL)
      list = g_list_prepend (list, event);
  }
  return g_list_reverse (list);
}
