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
