/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What lies in shared memory and what goes over the socket: the contract between
 * two builds of this library, of other versions, word sizes and compilers.
 * doc/protocol.md explains it; change the two together.
 *
 * Fixed-width little-endian fields, offsets instead of pointers, a cache line for
 * each party that writes. Only 32-bit words (and the ring's bytes) are shared by
 * atomics; all else is plain data whose access a lease or the handshake orders.
 */
#ifndef NDSH_LAYOUT_H
#define NDSH_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "atomics.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout is little-endian"
#endif

#define NDSH_MAGIC 0x4853444eu    /* "NDSH" */
#define NDSH_MAJOR 1              /* another one is refused */
#define NDSH_MINOR 0              /* a higher one only appends */

#define NDSH_N_SLOTS 256          /* slots a channel can have */
#define NDSH_RING 64              /* newest frames that can be found by number */
#define NDSH_HAZARDS 64           /* leases a reader can have */
#define NDSH_MAX_LEASED 128       /* slots that all readers can lease together */
#define NDSH_LINE 128             /* bytes; some ARM cores have lines of 128 */

/* What follows the payload in a segment: arrays, description, the stream's metadata and the
 * frame's. */
#define NDSH_MAX_PACKED_ARRAYS (16 * (16 + 16 * 32))
#define NDSH_MAX_TAIL (NDSH_MAX_PACKED_ARRAYS + 3 * 65536)

/*
 * The word of frame n. It is odd, so never 0, which means "no frame" in
 * state_seq and head and "free" in a hazard; and differences of words stay exact
 * when n passes 2^31.
 */
static inline uint32_t
ndsh_word (uint64_t n)
{
  return ((uint32_t) n << 1) | 1;
}

/* What stands in state_seq instead of @word while the frame may be copied and not
 * leased. Even, and 0 for one word of 2^31, whose frame may always be leased. */
static inline uint32_t
ndsh_word_withdrawn (uint32_t word)
{
  return word & ~1u;
}

/* How many frames @word is after @since; negative if it is before. */
static inline int32_t
ndsh_word_distance (uint32_t word, uint32_t since)
{
  return (int32_t) (word - since) / 2;
}

static inline uint32_t
ndsh_word_ring (uint32_t word)
{
  return (word >> 1) & (NDSH_RING - 1);
}

/*
 * One slot, seen by readers. state_seq is the word of the frame it holds, as it is or
 * withdrawn, or 0 while the writer has it:
 *
 *   0         -> word, or withdrawn   publish
 *   word      -> withdrawn            publish: leases are scarce
 *   either    -> 0                    begin claims the slot
 *   0         -> either, as before    begin finds that the frame is leased and puts it
 *                                     back
 *
 * The rest is written while state_seq is 0, and read under a lease; or copied, which
 * counts if state_seq is still one of the two after that. It is a struct of its own
 * because state_seq can change even then.
 */
typedef struct {
  uint64_t full_seq;              /* the frame's number */
  uint64_t payload_size;
  uint64_t tail_offset;           /* page-aligned, >= payload_size */
  uint32_t generation;            /* of the slot's segment: which fd it is in */
  uint32_t arrays_size;           /* at tail_offset, */
  uint32_t description_size;      /* then this, without a NUL, */
  uint32_t metadata_size;         /* then, behind the stream's, this */
  uint32_t n_arrays;
  uint32_t flags;
  int64_t timestamp_ns;
  int64_t duration_ns;
  uint64_t offset;
  int64_t publish_ns;
  int64_t origin_ns;              /* NdshTiming, from here */
  int64_t latency_ns;
  uint32_t clock;                 /* NdshClock */
  uint32_t ends;                  /* that came before this frame */
  uint32_t format;                /* of all but metadata, in this stream; 0: of its own */
  uint32_t stream_metadata_size;  /* behind the description */
  uint32_t zero[2];
} NdshFrameRecord;

typedef struct {
  shared_u32 state_seq;
  uint32_t zero;
  NdshFrameRecord frame;
} NdshRecord;

/* An array in a segment's tail; n_dims shapes, then n_dims strides follow. */
typedef struct {
  uint8_t dtype;
  uint8_t n_dims;
  uint8_t zero[6];
  uint64_t offset;
} NdshPackedArray;

/* How many ends are after @since; negative if they are before. */
static inline int32_t
ndsh_ends_distance (uint32_t ends, uint32_t since)
{
  return (int32_t) (ends - since);
}

typedef struct {
  /* Written once, before any reader sees it. */
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint32_t size;                  /* of this struct */
  uint32_t record_size;
  uint32_t n_slots;
  uint32_t ring_size;
  uint32_t byte_order;            /* 0x01020304 */
  uint32_t zero0;
  char stream_id[32];             /* hex digits, no NUL */
  uint8_t zero1[64];

  /* A reader that finds a new frame has the ring in the same line. */
  shared_u32 head;                /* word of the newest frame, 0 before the first */
  shared_u8 ring[NDSH_RING];      /* its slot at ring[ndsh_word_ring (word)] */
  uint8_t zero2[60];

  shared_u32 ends;                /* how often the writer said that nothing follows */
  uint8_t zero3[124];

  shared_u32 writer_waiting;      /* not 0: who releases a lease sends a byte */
  uint8_t zero4[124];

  NdshRecord slot[NDSH_N_SLOTS];
} NdshControl;

/* A reader's own page. It can be spoilt by that reader, to nobody else's harm. */
typedef struct {
  /* Written by the reader: 0, or the word of a frame it holds. */
  shared_u32 hazard[NDSH_HAZARDS];

  /* Set by the reader before it sleeps, taken back by the writer that wakes it. */
  shared_u32 waiting;
  uint8_t zero0[124];

  /* Written by the reader. */
  shared_u32 cursor;              /* last frame it had; even: it wants no more */
  shared_u32 segments_handled;    /* SEGMENT messages: what they replaced is unmapped */
  shared_u32 delivered;
  shared_u32 missed;
  shared_u32 queue_length;        /* of a queueing reader, now; 0: as granted */
  shared_u32 copied;              /* of those delivered */
  shared_u32 key_requests;        /* how often it asked for a frame that refers to none */
  shared_u32 max_rate;            /* frames that it wants in 1000 s; 0: all */
  shared_u32 max_width;           /* of pictures, in pixels; 0: any */
  shared_u32 max_height;
  uint8_t zero1[88];

  /* Written by the writer. */
  shared_u32 mode;                /* NdshReadMode as granted; lossless may become queue */
  shared_u32 share;               /* leases it should have at most; 0: as granted */
  shared_u32 room;                /* frames that the writer's memory can keep; 0: unknown */
  uint8_t zero2[116];
} NdshLeasePage;

/* --- Messages --- */

enum {
  NDSH_MESSAGE_HELLO = 1,         /* reader: I want to read */
  NDSH_MESSAGE_STATUS = 2,        /* reader: just tell me; writer: NdshStatus */
  NDSH_MESSAGE_WELCOME = 3,       /* writer: control, lease page and bell */
  NDSH_MESSAGE_REFUSED = 4,       /* writer: and why */
  NDSH_MESSAGE_SEGMENT = 5,       /* writer: slot i is now this fd */
  NDSH_MESSAGE_WATCH = 6,         /* reader: tell me, and stay as long as it is so */
  NDSH_MESSAGE_YIELD = 7          /* the next writer, to a keeper: your name is mine */
};

/* Every message but the wake-up begins so. The wake-up is the one byte 'w'; the writer
 * rings the bell instead. */
typedef struct {
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint32_t type;
  uint32_t size;                  /* of the whole message */
} NdshHeader;

typedef struct {
  NdshHeader header;
  uint32_t mode;                  /* NdshReadMode */
  uint32_t queue_length;
  uint32_t max_leases;
  uint32_t max_rate;              /* these as the lease page has them from then on */
  uint32_t max_width;
  uint32_t max_height;
} NdshHello;

typedef struct {                  /* with three fds: control, lease page, bell */
  NdshHeader header;
  uint32_t mode;                  /* as granted */
  uint32_t queue_length;
  uint32_t max_leases;
  uint32_t cursor;                /* word: the first frame wanted is the next */
  uint32_t control_size;          /* of the fds */
  uint32_t page_size;
  uint32_t ends;                  /* before that frame, or so far if there is none yet */
  uint32_t n_segments;            /* SEGMENT messages that follow at once */
} NdshWelcome;

typedef struct {
  NdshHeader header;
  uint32_t code;                  /* NdshError */
  uint32_t zero;
  char text[240];                 /* a sentence, NUL-terminated */
} NdshRefused;

typedef struct {                  /* with one fd, or none if the slot has no memory now */
  NdshHeader header;
  uint32_t slot;
  uint32_t generation;
  uint64_t size;                  /* of the fd, or 0 */
} NdshSegmentMessage;

typedef struct {                  /* followed by arrays, description, stream's metadata */
  NdshHeader header;
  char stream_id[32];
  uint64_t published;
  int64_t publish_ns;
  uint64_t bytes;
  uint32_t n_readers;
  uint32_t n_arrays;
  uint32_t arrays_size;
  uint32_t description_size;
  int64_t duration_ns;            /* of the newest frame, as its record has it, */
  int64_t origin_ns;              /* and these */
  int64_t latency_ns;
  uint32_t clock;
  uint32_t stream_metadata_size;
} NdshStatus;

#define AT(type, field, where)                                                 \
  _Static_assert (offsetof (type, field) == (where), #type "." #field)
#define SIZE(type, size) _Static_assert (sizeof (type) == (size), #type)

AT (NdshFrameRecord, full_seq, 0);
AT (NdshFrameRecord, payload_size, 8);
AT (NdshFrameRecord, tail_offset, 16);
AT (NdshFrameRecord, generation, 24);
AT (NdshFrameRecord, arrays_size, 28);
AT (NdshFrameRecord, description_size, 32);
AT (NdshFrameRecord, metadata_size, 36);
AT (NdshFrameRecord, n_arrays, 40);
AT (NdshFrameRecord, flags, 44);
AT (NdshFrameRecord, timestamp_ns, 48);
AT (NdshFrameRecord, duration_ns, 56);
AT (NdshFrameRecord, offset, 64);
AT (NdshFrameRecord, publish_ns, 72);
AT (NdshFrameRecord, origin_ns, 80);
AT (NdshFrameRecord, latency_ns, 88);
AT (NdshFrameRecord, clock, 96);
AT (NdshFrameRecord, ends, 100);
AT (NdshFrameRecord, format, 104);
AT (NdshFrameRecord, stream_metadata_size, 108);
SIZE (NdshFrameRecord, NDSH_LINE - 8);

AT (NdshRecord, state_seq, 0);
AT (NdshRecord, frame, 8);
SIZE (NdshRecord, NDSH_LINE);

AT (NdshPackedArray, offset, 8);
SIZE (NdshPackedArray, 16);

AT (NdshControl, magic, 0);
AT (NdshControl, major, 4);
AT (NdshControl, minor, 6);
AT (NdshControl, size, 8);
AT (NdshControl, record_size, 12);
AT (NdshControl, n_slots, 16);
AT (NdshControl, ring_size, 20);
AT (NdshControl, byte_order, 24);
AT (NdshControl, stream_id, 32);
AT (NdshControl, head, 128);
AT (NdshControl, ring, 132);
AT (NdshControl, ends, 256);
AT (NdshControl, writer_waiting, 384);
AT (NdshControl, slot, 512);
SIZE (NdshControl, 512 + NDSH_N_SLOTS * NDSH_LINE);

AT (NdshLeasePage, hazard, 0);
AT (NdshLeasePage, waiting, 256);
AT (NdshLeasePage, cursor, 384);
AT (NdshLeasePage, segments_handled, 388);
AT (NdshLeasePage, delivered, 392);
AT (NdshLeasePage, missed, 396);
AT (NdshLeasePage, queue_length, 400);
AT (NdshLeasePage, copied, 404);
AT (NdshLeasePage, key_requests, 408);
AT (NdshLeasePage, max_rate, 412);
AT (NdshLeasePage, max_width, 416);
AT (NdshLeasePage, max_height, 420);
AT (NdshLeasePage, mode, 512);
AT (NdshLeasePage, share, 516);
AT (NdshLeasePage, room, 520);
SIZE (NdshLeasePage, 640);

AT (NdshHeader, type, 8);
SIZE (NdshHeader, 16);
AT (NdshHello, max_height, 36);
SIZE (NdshHello, 40);
AT (NdshWelcome, control_size, 32);
AT (NdshWelcome, ends, 40);
AT (NdshWelcome, n_segments, 44);
SIZE (NdshWelcome, 48);
AT (NdshRefused, text, 24);
SIZE (NdshRefused, 264);
AT (NdshSegmentMessage, size, 24);
SIZE (NdshSegmentMessage, 32);
AT (NdshStatus, stream_id, 16);
AT (NdshStatus, published, 48);
AT (NdshStatus, n_readers, 72);
AT (NdshStatus, duration_ns, 88);
AT (NdshStatus, clock, 112);
AT (NdshStatus, stream_metadata_size, 116);
SIZE (NdshStatus, 120);

#undef AT
#undef SIZE

#endif
