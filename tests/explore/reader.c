/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define EXPLORED
#include "explored.h"

#include "../../lib/reader.c"

static NdshReader readers[2];

NdshReader *
explored_reader_join (NdshLink *link)
{
  NdshReader *reader = &readers[link->fd];

  memset (reader, 0, sizeof *reader);
  reader->name = (char *) "explored";
  reader->greeting_fd = -1;
  reader->waiter.epoll_fd = -1;
  reader->link = link;
  reader->told = link->ends;
  return reader;
}

uint32_t
explored_reader_get_told (const NdshReader *reader)
{
  return reader->told;
}

void
explored_reader_leave (NdshReader *reader)
{
  leave (reader, FALSE);
}
