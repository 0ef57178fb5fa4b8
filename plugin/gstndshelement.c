/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstndshelement.h"

#include <ndsh.h>

static GstResourceError
find_code (const GstElement *element, const GError *error)
{
  switch (error->code) {
  case NDSH_ERROR_EXISTS:
    return GST_RESOURCE_ERROR_BUSY;
  case NDSH_ERROR_INVALID:
    return GST_RESOURCE_ERROR_SETTINGS;
  case NDSH_ERROR_FULL:
  case NDSH_ERROR_MEMORY:
    return GST_RESOURCE_ERROR_NO_SPACE_LEFT;
  case NDSH_ERROR_DENIED:
    return GST_RESOURCE_ERROR_NOT_AUTHORIZED;
  default:
    return element->numsinkpads > 0 ? GST_RESOURCE_ERROR_OPEN_WRITE
                                    : GST_RESOURCE_ERROR_OPEN_READ;
  }
}

void
gst_ndsh_post_error (GstElement *element, const GError *error, const char *debug)
{
  gst_element_message_full (element, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR,
                            find_code (element, error), g_strdup (error->message),
                            g_strdup (debug), __FILE__, GST_FUNCTION, __LINE__);
}

void
gst_ndsh_post_structure (GstElement *element, GstStructure *structure)
{
  g_autofree char *channel = NULL;

  g_object_get (element, "channel", &channel, NULL);
  gst_structure_set (structure, "channel", G_TYPE_STRING, channel, NULL);
  gst_element_post_message (
    element, gst_message_new_element (GST_OBJECT_CAST (element), structure));
}

gboolean
gst_ndsh_may_set (GstElement *element, const GParamSpec *pspec, gboolean is_open)
{
  if ((pspec->flags & GST_PARAM_MUTABLE_PLAYING) != 0 || !is_open)
    return TRUE;
  GST_WARNING_OBJECT (element, "%s can be changed in NULL and READY only", pspec->name);
  return FALSE;
}

static void
take_string (char **field, const GValue *value, const GParamSpec *pspec)
{
  const char *text = g_value_get_string (value);

  if (text == NULL)
    text = ((const GParamSpecString *) pspec)->default_value;
  g_free (*field);
  *field = g_strdup (text);
}

void
gst_ndsh_set_field (GObject *object, const gsize *fields, guint id, const GValue *value,
                    GParamSpec *pspec)
{
  gpointer field = G_STRUCT_MEMBER_P (object, fields[id]);
  const GType type = fields[id] != 0 ? G_TYPE_FUNDAMENTAL (pspec->value_type) : G_TYPE_NONE;

  GST_OBJECT_LOCK (object);
  if (type == G_TYPE_STRING)
    take_string (field, value, pspec);
  else if (type == G_TYPE_BOOLEAN)
    *(gboolean *) field = g_value_get_boolean (value);
  else if (type == G_TYPE_INT)
    *(gint *) field = g_value_get_int (value);
  else if (type == G_TYPE_UINT)
    *(guint *) field = g_value_get_uint (value);
  else if (type == G_TYPE_UINT64)
    *(guint64 *) field = g_value_get_uint64 (value);
  else if (type == G_TYPE_INT64)
    *(gint64 *) field = g_value_get_int64 (value);
  else if (type == G_TYPE_ENUM)
    *(gint *) field = g_value_get_enum (value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (object);
}

void
gst_ndsh_get_field (GObject *object, const gsize *fields, guint id, GValue *value,
                    GParamSpec *pspec)
{
  gconstpointer field = G_STRUCT_MEMBER_P (object, fields[id]);
  const GType type = fields[id] != 0 ? G_TYPE_FUNDAMENTAL (pspec->value_type) : G_TYPE_NONE;

  GST_OBJECT_LOCK (object);
  if (type == G_TYPE_STRING)
    g_value_set_string (value, *(char *const *) field);
  else if (type == G_TYPE_BOOLEAN)
    g_value_set_boolean (value, *(const gboolean *) field);
  else if (type == G_TYPE_INT)
    g_value_set_int (value, *(const gint *) field);
  else if (type == G_TYPE_UINT)
    g_value_set_uint (value, *(const guint *) field);
  else if (type == G_TYPE_UINT64)
    g_value_set_uint64 (value, *(const guint64 *) field);
  else if (type == G_TYPE_INT64)
    g_value_set_int64 (value, *(const gint64 *) field);
  else if (type == G_TYPE_ENUM)
    g_value_set_enum (value, *(const gint *) field);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  GST_OBJECT_UNLOCK (object);
}
