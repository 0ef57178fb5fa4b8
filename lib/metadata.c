/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Metadata as items: four bytes that say so, then each a tag, a length and so many bytes,
 * all little-endian and wherever the one before ended. Who does not know a tag passes the
 * item over, so there can be new ones; what a tag means only grows at its end.
 */
#include "ndsh.h"

#include <string.h>

#include "error.h"

static const guint8 magic[4] = { 'n', 'd', 'g', '1' };

#define HEAD_SIZE 8             /* u32 tag, u32 length */

static guint32
get_u32 (const guint8 *at)
{
  guint32 value;

  memcpy (&value, at, sizeof value);
  return GUINT32_FROM_LE (value);
}

/* Sets @item to what is at @at, @left bytes before the end. */
static gboolean
read_item (const guint8 *at, gsize left, NdshItem *item)
{
  if (left < HEAD_SIZE || get_u32 (at + 4) > left - HEAD_SIZE)
    return FALSE;
  item->tag = get_u32 (at);
  item->size = get_u32 (at + 4);
  item->data = at + HEAD_SIZE;
  return TRUE;
}

/* Up to the last byte: what is cut somewhere is no metadata at all. */
static gboolean
are_items (const guint8 *at, const guint8 *end)
{
  NdshItem item;

  while (at < end) {
    if (!read_item (at, (gsize) (end - at), &item))
      return FALSE;
    at = (const guint8 *) item.data + item.size;
  }
  return TRUE;
}

NDSH_API gboolean
ndsh_metadata_next (gconstpointer metadata, gsize size, NdshItem *item)
{
  const guint8 *at = metadata, *end;

  g_return_val_if_fail (metadata != NULL || size == 0, FALSE);
  g_return_val_if_fail (item != NULL, FALSE);

  if (size <= sizeof magic)
    return FALSE;
  end = at + size;
  if (item->data != NULL)
    return read_item ((const guint8 *) item->data + item->size,
                      (gsize) (end - (const guint8 *) item->data) - item->size, item);
  return memcmp (at, magic, sizeof magic) == 0
         && are_items (at + sizeof magic, end)
         && read_item (at + sizeof magic, size - sizeof magic, item);
}

static void
append_u32 (GByteArray *bytes, guint32 value)
{
  value = GUINT32_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

/* What is appended from here on is the next item's, until end_item (). */
static guint
begin_item (GByteArray *metadata, guint32 tag)
{
  if (metadata->len == 0)
    g_byte_array_append (metadata, magic, sizeof magic);
  append_u32 (metadata, tag);
  append_u32 (metadata, 0);
  return metadata->len;
}

static void
end_item (GByteArray *metadata, guint start)
{
  guint32 size = GUINT32_TO_LE (metadata->len - start);

  memcpy (metadata->data + start - sizeof size, &size, sizeof size);
}

NDSH_API void
ndsh_metadata_append (GByteArray *metadata, guint32 tag, gconstpointer data, gsize size)
{
  guint start;

  g_return_if_fail (metadata != NULL && (data != NULL || size == 0));
  g_return_if_fail (size <= NDSH_MAX_METADATA);

  start = begin_item (metadata, tag);
  if (size > 0)
    g_byte_array_append (metadata, data, (guint) size);
  end_item (metadata, start);
}

/* --- Regions -------------------------------------------------------------- */

/* i32 id, i32 parent_id, u32 x, y, width, height, f64 confidence; label and parameters,
 * each with its NUL. */
#define REGION_SIZE 32

static void
append_double (GByteArray *bytes, double value)
{
  guint64 bits;

  memcpy (&bits, &value, sizeof bits);
  append_u32 (bytes, (guint32) bits);
  append_u32 (bytes, (guint32) (bits >> 32));
}

static double
get_double (const guint8 *at)
{
  guint64 bits = get_u32 (at) | (guint64) get_u32 (at + 4) << 32;
  double value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

static void
append_text (GByteArray *bytes, const char *text)
{
  if (text == NULL)
    text = "";
  g_byte_array_append (bytes, (const guint8 *) text, (guint) strlen (text) + 1);
}

NDSH_API void
ndsh_metadata_append_region (GByteArray *metadata, const NdshRegion *region)
{
  guint start;

  g_return_if_fail (metadata != NULL && region != NULL);

  start = begin_item (metadata, NDSH_TAG_REGION);
  append_u32 (metadata, (guint32) region->id);
  append_u32 (metadata, (guint32) region->parent_id);
  append_u32 (metadata, region->x);
  append_u32 (metadata, region->y);
  append_u32 (metadata, region->width);
  append_u32 (metadata, region->height);
  append_double (metadata, region->confidence);
  append_text (metadata, region->label);
  append_text (metadata, region->parameters);
  end_item (metadata, start);
}

/* Moves *@at behind a text that ends before @end. */
static gboolean
take_text (const char **at, const char *end, const char **text)
{
  const char *nul = memchr (*at, '\0', (gsize) (end - *at));

  if (nul == NULL || !g_utf8_validate (*at, nul - *at, NULL))
    return FALSE;
  *text = *at;
  *at = nul + 1;
  return TRUE;
}

NDSH_API gboolean
ndsh_item_get_region (const NdshItem *item, NdshRegion *region)
{
  const guint8 *data;
  const char *at, *end;

  g_return_val_if_fail (item != NULL && region != NULL, FALSE);

  data = item->data;
  if (item->tag != NDSH_TAG_REGION || item->size < REGION_SIZE)
    return FALSE;
  memset (region, 0, sizeof *region);
  region->id = (gint32) get_u32 (data);
  region->parent_id = (gint32) get_u32 (data + 4);
  region->x = get_u32 (data + 8);
  region->y = get_u32 (data + 12);
  region->width = get_u32 (data + 16);
  region->height = get_u32 (data + 20);
  region->confidence = get_double (data + 24);
  if (!(region->confidence >= 0 && region->confidence <= 1))
    region->confidence = -1;
  at = (const char *) data + REGION_SIZE;
  end = (const char *) data + item->size;
  return take_text (&at, end, &region->label)
         && take_text (&at, end, &region->parameters);
}
