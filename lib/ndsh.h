/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef NDSH_H
#define NDSH_H

#include <glib.h>

G_BEGIN_DECLS

/*
 * ndsh: n-dimensional arrays shared between processes, without copies.
 *
 * One process writes frames under a name, a channel; any number of others read
 * them in place.
 *
 *   writer process                        reader process
 *   --------------                        --------------
 *   ndsh_writer_new ()    <-- name -->    ndsh_reader_new ()
 *   ndsh_writer_begin ()    a free slot
 *     ... fill it ...       becomes a draft
 *   ndsh_draft_publish ()   becomes a frame
 *                           wakes -->     ndsh_reader_read ()     takes a lease
 *                                           ... use it ...
 *   ndsh_draft_release ()   free again    ndsh_frame_release ()   returns it
 *                           when both have let go
 *
 * The functions stand below in the order of that life.
 *
 * Ownership: a function named *_new, *_begin, *_read or *_acquire hands over what
 *   it returns; give it back with the *_free or *_release of the same type (they
 *   accept NULL) or declare it g_autoptr. Everything else stays with the object
 *   it came from and lives as long as that.
 * Errors: a function with a GError ** returns NULL or FALSE exactly when it sets
 *   one, always in the NDSH_ERROR domain, with a message meant to be shown. One
 *   without cannot fail; breaking its contract is a programming error.
 * Threads: a writer and its drafts may be used from any thread. A reader is used
 *   by one thread at a time, but for ndsh_reader_set_flushing (). Frames may be
 *   used and released in any.
 * Blocking: ndsh_reader_read () and ndsh_reader_wait () sleep, and
 *   ndsh_writer_begin () does where a lossless reader has to catch up. Nothing
 *   else waits for another process, but ndsh_writer_new (), ndsh_channel_info_new ()
 *   and ndsh_monitor_new () up to two seconds for one that has stopped, and
 *   ndsh_writer_free () where it lingers.
 * Units: sizes, offsets and strides are bytes; points in time are nanoseconds of
 *   CLOCK_MONOTONIC as the writer sees it, which in another time namespace is
 *   another clock; time-outs are microseconds.
 * Fork: a child cannot use what its parent opened: calls fail with
 *   NDSH_ERROR_FORKED or do nothing. Open the channel again in the child. Frames
 *   that it inherits can be read, but their leases are the parent's: once that
 *   releases them or ends, their bytes may change.
 */

/* --- What a frame looks like ---------------------------------------------- */

/* What can be at most. Since: 0.1 */
#define NDSH_MAX_DIMS 32           /* what NumPy 1 can make */
#define NDSH_MAX_ARRAYS 16         /* planes of an image, tensors of a model */
#define NDSH_MAX_LEASES 64
#define NDSH_MAX_QUEUE 32          /* frames; history has the same bound */
#define NDSH_MAX_METADATA 65536    /* bytes */
#define NDSH_MAX_DESCRIPTION 65536 /* bytes, without the final NUL */

/* The numbers lie in shared memory: append, never renumber. Since: 0.1 */
typedef enum {
  NDSH_DTYPE_INVALID = 0,
  NDSH_DTYPE_BOOL = 1,
  NDSH_DTYPE_INT8 = 2,
  NDSH_DTYPE_UINT8 = 3,
  NDSH_DTYPE_INT16 = 4,
  NDSH_DTYPE_UINT16 = 5,
  NDSH_DTYPE_INT32 = 6,
  NDSH_DTYPE_UINT32 = 7,
  NDSH_DTYPE_INT64 = 8,
  NDSH_DTYPE_UINT64 = 9,
  NDSH_DTYPE_FLOAT16 = 10,
  NDSH_DTYPE_FLOAT32 = 11,
  NDSH_DTYPE_FLOAT64 = 12,
  NDSH_DTYPE_COMPLEX64 = 13,
  NDSH_DTYPE_COMPLEX128 = 14,
  NDSH_DTYPE_FLOAT128 = 15,     /* a long double of 16 bytes */
  NDSH_DTYPE_COMPLEX256 = 16    /* two of them */
} NdshDtype;

/* NumPy's name of @dtype ("float32"), and back; NULL and INVALID if unknown. Since: 0.1 */
const char *ndsh_dtype_to_name (NdshDtype dtype);
NdshDtype ndsh_dtype_from_name (const char *name);

/* Bytes of one element, 0 if @dtype is unknown. Since: 0.1 */
gsize ndsh_dtype_get_size (NdshDtype dtype);

/*
 * NdshArrayInfo:
 * @dtype: element type, in the machine's byte order
 * @n_dims: number of dimensions in use, 0 (a scalar) to NDSH_MAX_DIMS
 * @offset: bytes from the start of the frame's data to the first element
 * @shape: elements along each dimension, outermost first
 * @strides: bytes from one element to the next along each dimension
 *
 * NumPy's description of an array. A plain value: copy it by assignment.
 * Since: 0.1
 */
typedef struct {
  NdshDtype dtype;
  guint n_dims;
  gsize offset;
  gsize shape[NDSH_MAX_DIMS];
  gssize strides[NDSH_MAX_DIMS];
} NdshArrayInfo;

/* Describes a dense row-major array at offset 0. FALSE, and @info left alone, if
 * the dtype is unknown, there are too many dimensions or the size overflows. Set
 * strides and offset by hand for padded rows and for planes. Since: 0.1 */
gboolean ndsh_array_info_init (NdshArrayInfo *info, NdshDtype dtype,
                               guint n_dims, const gsize *shape);

/* Bytes from the first element to the end of the last, padding included; 0 for an
 * array without elements. G_MAXSIZE for what no frame can hold: an unknown
 * dtype, too many dimensions, a negative stride, a stride of 0 along a dimension
 * of more than 1, a size that overflows. Since: 0.1 */
gsize ndsh_array_info_get_size (const NdshArrayInfo *info);

/* Same dtype, shape, strides and offset. Since: 0.1 */
gboolean ndsh_array_info_equal (const NdshArrayInfo *a, const NdshArrayInfo *b);

/* "float32[480,640]", to be freed with g_free (). Strides are not shown. Since: 0.1 */
char *ndsh_array_info_to_string (const NdshArrayInfo *info);

/* --- Errors --------------------------------------------------------------- */

/* The domain of all errors. Since: 0.1 */
#define NDSH_ERROR (ndsh_error_quark ())
GQuark ndsh_error_quark (void);

/*
 * NdshError: a code for each thing that a caller might do about it.
 * @NDSH_ERROR_NOT_FOUND: nobody writes under that name (yet): try again later
 * @NDSH_ERROR_EXISTS: the name is taken: choose another or stop who has it
 * @NDSH_ERROR_DENIED: not permitted, or the writer has no place left
 * @NDSH_ERROR_INCOMPATIBLE: the peer speaks another version of the protocol
 * @NDSH_ERROR_INVALID: a name, an array or an option that cannot be
 * @NDSH_ERROR_FULL: every slot, or every lease of this reader, is in use now
 * @NDSH_ERROR_MEMORY: the machine has not enough memory left
 * @NDSH_ERROR_TIMEOUT: nothing happened in the time given
 * @NDSH_ERROR_CLOSED: the writer has gone: waiting again waits for the next
 * @NDSH_ERROR_ENDED: the writer said that nothing more follows
 * @NDSH_ERROR_FORKED: opened by the parent process: open it again in this one
 * @NDSH_ERROR_SYSTEM: a system call failed; the message names it
 * Since: 0.1
 */
typedef enum {
  NDSH_ERROR_NOT_FOUND,
  NDSH_ERROR_EXISTS,
  NDSH_ERROR_DENIED,
  NDSH_ERROR_INCOMPATIBLE,
  NDSH_ERROR_INVALID,
  NDSH_ERROR_FULL,
  NDSH_ERROR_MEMORY,
  NDSH_ERROR_TIMEOUT,
  NDSH_ERROR_CLOSED,
  NDSH_ERROR_ENDED,
  NDSH_ERROR_FORKED,
  NDSH_ERROR_SYSTEM
} NdshError;

/*
 * NdshReadMode: which frames a reader gets; each reader chooses for itself.
 * @NDSH_READ_LATEST: the newest at each call. The writer never waits.
 * @NDSH_READ_QUEUE: in order, up to queue_length behind; older ones are
 *   dropped, and sooner where max_bytes does not hold so many. The writer never
 *   waits.
 * @NDSH_READ_LOSSLESS: every one, in order. ndsh_writer_begin () waits for this
 *   reader. If it takes no frame for the writer's lossless_timeout_us meanwhile, it
 *   becomes a queueing reader for good. Granted to the writer's own user only; others
 *   get QUEUE: ndsh_reader_get_info () tells.
 * Since: 0.1
 */
typedef enum {
  NDSH_READ_LATEST,
  NDSH_READ_QUEUE,
  NDSH_READ_LOSSLESS
} NdshReadMode;

/* --- Writing -------------------------------------------------------------- */

/* Who writes a channel, and a frame that it is about to write. Since: 0.1 */
typedef struct _NdshWriter NdshWriter;
typedef struct _NdshDraft NdshDraft;

/*
 * NdshWriterOptions: 0 or NULL in any field means its default.
 * @history: newest frames kept for late and queueing readers, 1 to
 *   NDSH_MAX_QUEUE (1); more while a queueing reader asks for more, and fewer where the
 *   machine has no memory for so many
 * @max_readers: readers beyond are refused (16)
 * @max_bytes: bound on the shared memory for frames (as much as 16 of them need, but
 *   at least 256 MiB and otherwise at most a quarter of the machine's memory). It is
 *   taken as it is needed. Readers can hold half of it at most, and less if it holds
 *   few frames: those that have more copy, so that there is a slot for the next frame
 *   whatever readers do. That takes the memory of history and one frames, and after
 *   frames have become larger of twice as many. What stopped readers still map after a
 *   growth comes on top, at most twice as much again.
 * @lossless_timeout_us: how long ndsh_writer_begin () waits for a lossless
 *   reader that does not move (1 s); negative: lossless is never granted
 * @perms: who may read, as file permissions of the socket (0600; there are none that
 *   admit nobody). Connecting takes write permission: 0660 admits the group, 0666
 *   everybody. The directory must let them in as well.
 * @notify: called without locks from the writer's own thread after a reader came
 *   or went, when a slot came free after NDSH_ERROR_FULL (where a lossless reader
 *   kept it, once half of its queue was taken), when max_rate, max_width or max_height of
 *   a reader changes, and when key_requests of NdshWriterInfo changed. Must not free the
 *   writer.
 * @notify_data: its second argument
 * @linger_us: how long the newest frame outlives the writer, up to 24 days (0: not at all).
 *   ndsh_writer_free () leaves it to a process of its own, ndsh-keeper, which it starts
 *   then: readers find the frame there, with its stream, number and ends, as if the writer
 *   were there and published nothing. It gives the name up to the next writer of the same
 *   user, and ends when the time is up or on SIGTERM. Where it cannot be started that is
 *   logged, and the frame goes with its writer; so it does if this process is killed.
 * @reserved: 0
 * Since: 0.1
 */
typedef struct {
  guint history;
  guint max_readers;
  guint64 max_bytes;
  gint64 lossless_timeout_us;
  guint perms;
  void (*notify) (NdshWriter *writer, gpointer data);
  gpointer notify_data;
  gint64 linger_us;
  gpointer reserved[3];
} NdshWriterOptions;

/* Starts writing under @name: 1 to 64 of letters, digits, '.', '_' and '-', not
 * beginning with '.'; a name that begins with '/' is the path of the socket itself,
 * whose last part does not begin with '.' either.
 * Readers come and go from now on; a thread of the writer looks after them.
 * NULL @options means all defaults. EXISTS if a live writer has the name; what a
 * dead one left is taken over. Since: 0.1 */
NdshWriter *ndsh_writer_new (const char *name,
                             const NdshWriterOptions *options, GError **error);

/* Readers see CLOSED once they have taken what was published. Drafts still held
 * keep their memory; publishing them returns 0. With linger_us the newest frame stays.
 * A writer that has published and not been read stays until it is 20 ms old, unless it
 * lingers, for readers that were waiting for it. Since: 0.1 */
void ndsh_writer_free (NdshWriter *writer);

/* Text that travels with every frame begun or described from now on and says what the
 * numbers mean; NULL for none. ndsh never looks at it; ndshsink puts its caps
 * there. INVALID if longer than NDSH_MAX_DESCRIPTION. Since: 0.1 */
gboolean ndsh_writer_set_description (NdshWriter *writer,
                                      const char *description, GError **error);

/* Bytes that travel with every frame begun or described from now on, as the description
 * does: what is true of the stream until it is set anew, and what readers that come late
 * have to know as well. A frame costs no more for them. NULL and 0 for none, which is the
 * default; @metadata is copied. ndsh never looks at it; ndshsink puts tags there, as items
 * (below). INVALID if longer than NDSH_MAX_METADATA. Since: 0.1 */
gboolean ndsh_writer_set_metadata (NdshWriter *writer, gconstpointer metadata, gsize size,
                                   GError **error);

/*
 * NdshClock: what the timestamps of a stream follow.
 * @NDSH_CLOCK_MONOTONIC: CLOCK_MONOTONIC: a frame is of the time that it names, as a
 *   camera's is. Readers may tell how late a frame is, and which of two channels'
 *   frames are of one moment.
 * @NDSH_CLOCK_NONE: only each other: a file that is read as fast as it goes. Readers
 *   that show frames in real time choose when the stream begins.
 * Since: 0.1
 */
typedef enum { NDSH_CLOCK_MONOTONIC = 0, NDSH_CLOCK_NONE = 1 } NdshClock;

/*
 * NdshTiming: what the timestamps of a stream's frames are.
 * @clock: what they follow
 * @origin_ns: the timestamp that is the stream's beginning. Channels that belong
 *   together, as picture and sound of one file, say the same; then readers keep
 *   their frames at their distances. A stream that begins anew, with times that do
 *   not go on from the ones before, gets another.
 * @latency_ns: how long after the time it names a frame is published at the latest,
 *   as far as that is known: a camera's exposure and transfer, a decoder's delay.
 *   Readers that show frames in real time wait so long.
 * Since: 0.1
 */
typedef struct {
  NdshClock clock;
  gint64 origin_ns;
  gint64 latency_ns;
} NdshTiming;

/* Says what the timestamps are of every frame published from now on. A writer that
 * says nothing has NDSH_CLOCK_MONOTONIC, and 0 for the rest. Since: 0.1 */
void ndsh_writer_set_timing (NdshWriter *writer, const NdshTiming *timing);

/* Nothing more follows for now: readers get ENDED after the last frame so far, and
 * before the next one if another is published. Said again without a frame in between
 * it is the same end. Since: 0.1 */
void ndsh_writer_end (NdshWriter *writer);

/* While flushing, an ndsh_writer_begin () that waits, or would, fails with FULL
 * at once. Since: 0.1 */
void ndsh_writer_set_flushing (NdshWriter *writer, gboolean flushing);

/* Until there is a reader. TIMEOUT after @timeout_us, -1 for never, and while flushing.
 * Since: 0.1 */
gboolean ndsh_writer_wait_for_reader (NdshWriter *writer, gint64 timeout_us,
                                      GError **error);

/* 32 hex digits, new with every writer. Since: 0.1 */
const char *ndsh_writer_get_stream_id (NdshWriter *writer);

/*
 * NdshReaderInfo: a reader as its writer sees it, or as it sees itself.
 * @pid: process at the other end: the reader's for the writer, 0 where it is in
 *   another pid namespace; the writer's for the reader
 * @uid: its user
 * @mode: as granted; QUEUE for a lossless reader that was demoted
 * @max_leases: frames it may hold at once, as granted
 * @n_leases: frames it holds; for the writer, those that are no copies
 * @delivered: frames it has had, modulo 2^32 as the writer sees it
 * @missed: frames published while it was connected that it did not get, likewise
 * @copied: frames it has had as copies, because there was no lease for them, likewise
 * @lag: frames published since the last it had
 * @room: for the reader, how many frames the writer's memory can keep, as far as is
 *   known; 0 if it is not
 * @max_rate: frames a second that it wants at most, 0 for all
 * @max_width: pixels of a picture that are of use to it, in a row,
 * @max_height: and rows; 0 for any number
 * @reserved: 0
 * Since: 0.1
 */
typedef struct {
  gint64 pid;
  gint64 uid;
  NdshReadMode mode;
  guint max_leases;
  guint n_leases;
  guint64 delivered;
  guint64 missed;
  guint64 copied;
  guint64 lag;
  guint room;
  double max_rate;
  guint max_width;
  guint max_height;
  gpointer reserved[4];
} NdshReaderInfo;

/* Fills up to @n_infos of @infos and returns how many readers there are. One that was
 * freed counts no more, though its frames may be held. Since: 0.1 */
guint ndsh_writer_get_readers (NdshWriter *writer, NdshReaderInfo *infos,
                               guint n_infos);

/*
 * NdshTrust: whom readers have to trust not to change a frame. What they map is
 * read-only in each case; this is about who sets out to write.
 * @NDSH_TRUST_UNKNOWN: the writer, and perhaps who may open /dev/udmabuf: this process
 *   may not, and so cannot see
 * @NDSH_TRUST_WRITER: the writer alone
 * @NDSH_TRUST_UDMABUF: and who may open /dev/udmabuf, to which this kernel gives any
 *   memory to write to (from Linux 5.1 until late in 2024)
 * @NDSH_TRUST_USER: and all processes of the writer's user (before Linux 5.1)
 * Since: 0.1
 */
typedef enum {
  NDSH_TRUST_UNKNOWN,
  NDSH_TRUST_WRITER,
  NDSH_TRUST_UDMABUF,
  NDSH_TRUST_USER
} NdshTrust;

/*
 * NdshWriterInfo:
 * @published: frames since the start
 * @n_slots: slots made so far; they are never given back
 * @bytes: shared memory of those slots
 * @max_bytes: the bound on that; 0 before the first draft
 * @max_frames: how many frames like the last one begun it holds; 0 before that
 * @retired_bytes: shared memory that was replaced and that a reader still maps
 * @trust: whom readers have to trust, as it was when this process's first writer started
 * @key_requests: how often readers asked for a frame that refers to no other; notify is
 *   called when one did
 * @reserved: 0
 * Since: 0.1
 */
typedef struct {
  guint64 published;
  guint n_slots;
  guint64 bytes;
  guint64 max_bytes;
  guint max_frames;
  guint64 retired_bytes;
  NdshTrust trust;
  guint64 key_requests;
  gpointer reserved[4];
} NdshWriterInfo;

/* Counts since the writer began, and what it has now. Since: 0.1 */
void ndsh_writer_get_info (NdshWriter *writer, NdshWriterInfo *info);

/* A slot to fill with @n_arrays arrays, 1 to NDSH_MAX_ARRAYS, which may differ
 * from the ones before; ndsh_array_info_get_size () says what cannot be. Several
 * drafts can be open at once and be published in any order.
 *   FULL     this process holds what max_bytes allows, drafts and frames not yet
 *            released, or a lossless reader is behind: drop the frame, or try again
 *            when notify was called
 *   INVALID  the arrays cannot be, or are larger than max_bytes allows
 *   MEMORY   a new slot was needed and the machine cannot give it
 * Since: 0.1 */
NdshDraft *ndsh_writer_begin (NdshWriter *writer, const NdshArrayInfo *arrays,
                              guint n_arrays, GError **error);

/* The same, but FULL at once where ndsh_writer_begin () would wait. Since: 0.1 */
NdshDraft *ndsh_writer_try_begin (NdshWriter *writer,
                                  const NdshArrayInfo *arrays, guint n_arrays,
                                  GError **error);

/* A draft of @size bytes whose arrays are to be said with ndsh_draft_describe () before it
 * is published, since they are not known yet. Waits for lossless readers if @may_wait.
 * Since: 0.1 */
NdshDraft *ndsh_writer_begin_bytes (NdshWriter *writer, gsize size,
                                    gboolean may_wait, GError **error);

/* Page-aligned; array i starts at its offset. What an earlier frame left is
 * still there. Since: 0.1 */
gpointer ndsh_draft_get_data (NdshDraft *draft);

/* Bytes that may be written there: at least what begin was asked for. Since: 0.1 */
gsize ndsh_draft_get_size (NdshDraft *draft);

/* Says all that a frame looks like: its arrays; its size, which is at least what they
 * reach, and more where padding after the last row belongs to it, or 0 for just that;
 * and metadata, up to NDSH_MAX_METADATA bytes that travel with the frame for what the
 * arrays cannot say, and that ndsh never looks at. It may be said anew until the draft
 * is published. What was said of the last draft costs nothing to say again. On failure
 * nothing has changed; the frame is to be dropped then, or published as it was.
 *   INVALID  it does not fit ndsh_draft_get_size (), or cannot be
 *   FULL     metadata or description grew, and max_bytes has no room
 *   MEMORY   the same, and the machine has none
 * Since: 0.1 */
gboolean ndsh_draft_describe (NdshDraft *draft, const NdshArrayInfo *arrays,
                              guint n_arrays, gsize size, gconstpointer metadata,
                              gsize metadata_size, GError **error);

/*
 * NdshFrameInfo: what travels with a frame beside its arrays.
 * @timestamp_ns: when it was captured or is to be shown, by the stream's NdshTiming;
 *   -1 if unknown
 * @duration_ns: -1 if unknown
 * @offset: the producer's own count (a sensor's frame number), G_MAXUINT64 if
 *   unknown
 * @flags: the producer's own bits, carried untouched
 * @reserved: 0
 * Since: 0.1
 */
typedef struct {
  gint64 timestamp_ns;
  gint64 duration_ns;
  guint64 offset;
  guint32 flags;
  gpointer reserved[4];
} NdshFrameInfo;

/* Makes the arrays visible to readers and returns the frame's number, counting
 * from 1; 0 if the writer was freed or this draft is already published. NULL
 * @info means all unknown. From here on its data must not change. Never waits.
 * Since: 0.1 */
guint64 ndsh_draft_publish (NdshDraft *draft, const NdshFrameInfo *info);

/* Lets go of the slot. A draft that was never published is forgotten. Since: 0.1 */
void ndsh_draft_release (NdshDraft *draft);

/* --- Reading -------------------------------------------------------------- */

/* Who reads a channel, and what it has of it. Since: 0.1 */
typedef struct _NdshReader NdshReader;
typedef struct _NdshFrame NdshFrame;

/*
 * NdshReaderOptions: 0 in any field means its default.
 * @mode: which frames (NDSH_READ_LATEST)
 * @queue_length: for QUEUE, how many frames behind, 1 to NDSH_MAX_QUEUE (4); for
 *   LOSSLESS, how far ahead the writer may be before it waits, as memory allows
 * @max_leases: frames held at once, 1 to NDSH_MAX_LEASES (2). Of those that are more
 *   than its share of the writer's memory it gets copies.
 * @reserved: 0
 * Since: 0.1
 */
typedef struct {
  NdshReadMode mode;
  guint queue_length;
  guint max_leases;
  gpointer reserved[4];
} NdshReaderOptions;

/* Follows @name through writers that come and go; the first read looks for one.
 * NULL @options means all defaults. Fails only for a name that cannot be, an
 * option out of range, or want of file descriptors. Since: 0.1 */
NdshReader *ndsh_reader_new (const char *name,
                             const NdshReaderOptions *options, GError **error);

/* Frames still held stay valid until they are released. Since: 0.1 */
void ndsh_reader_free (NdshReader *reader);

/* After an ndsh_reader_read (reader, 0) that failed with TIMEOUT or NOT_FOUND this
 * polls readable as soon as the next would not; then call it again. After any other
 * failure it says nothing: read again, once a frame was released if that was FULL. It
 * stays the same through reconnects. Do not read or close it. Since: 0.1 */
int ndsh_reader_get_fd (NdshReader *reader);

/* From now on a QUEUE reader is up to @queue_length frames behind, 1 to
 * NDSH_MAX_QUEUE. The writer keeps as many, from its next frame on, as memory allows.
 * Of no effect in mode LATEST. Since: 0.1 */
void ndsh_reader_set_queue_length (NdshReader *reader, guint queue_length);

/* The same for both: @queue_length as in NdshReaderOptions. The reader leaves the writer
 * and joins it again, with the next read, and goes on after the last frame that it took;
 * of those published meanwhile it gets what the writer still has (its history), and the
 * rest counts as missed. Meanwhile ndsh_reader_is_connected () says no. Since: 0.1 */
void ndsh_reader_set_mode (NdshReader *reader, NdshReadMode mode, guint queue_length);

/* Tells the writer that more than @max_rate frames a second are of no use here; 0 for all
 * of them. What it makes of that is its own business: NdshReaderInfo tells it, and notify
 * is called. As exact as a thousandth. Since: 0.1 */
void ndsh_reader_set_max_rate (NdshReader *reader, double max_rate);

/* The same for pictures of more pixels than that; 0 for any number. Frames are what the
 * writer makes them, whatever was wished. Since: 0.1 */
void ndsh_reader_set_max_size (NdshReader *reader, guint max_width, guint max_height);

/* Asks the writer, if there is one, for a frame that refers to no other: an encoder's key
 * frame. It may take no notice. Since: 0.1 */
void ndsh_reader_request_key_frame (NdshReader *reader);

/* The next frame as the mode has it. Blocks until there is one, connecting and
 * reconnecting by itself. A negative @timeout_us waits for ever, 0 not at all. No system
 * call if a frame is there already. NULL says why there is none:
 *   TIMEOUT       none came
 *   NOT_FOUND     @timeout_us is 0 and nobody writes
 *   ENDED         the writer said so after the frames so far: once for each end, in
 *                 its place between two frames, or once for several if all frames
 *                 between them were missed. The next read goes on.
 *   CLOSED        the writer has gone, once; the next read looks for another. It
 *                 comes after the last frame was taken.
 *   FULL          all leases are out: release a frame first
 *   DENIED, INCOMPATIBLE, SYSTEM  why the writer found could not be joined, once
 *                 for each attempt
 * Since: 0.1 */
NdshFrame *ndsh_reader_read (NdshReader *reader, gint64 timeout_us,
                             GError **error);

/* The same without taking it, for ndsh_reader_acquire () to take: whether there is one.
 * Since: 0.1 */
gboolean ndsh_reader_wait (NdshReader *reader, gint64 timeout_us,
                           GError **error);

/* While @flushing a wait does not sleep: the one that does, and each one later, ends with
 * TIMEOUT where there is no frame. The one function that may be called from another
 * thread than that which waits. Since: 0.1 */
void ndsh_reader_set_flushing (NdshReader *reader, gboolean flushing);

/* A frame that is there already, for who may not sleep or looks all the time; NULL if there
 * is none, if an end comes before it, if all leases are out, or if it went while it was
 * copied. No system call, but for a segment seen for the first time, and memory for
 * copies. Only waiting or reading tells of an end and notices a new writer. Since: 0.1 */
NdshFrame *ndsh_reader_acquire (NdshReader *reader);

/* Read-only shared memory, or a copy where leases are scarce; page-aligned, array i
 * starts at its offset. It does not change while the frame is held, unless the writer
 * breaks the contract: code that would come to harm by that parses a copy. Since: 0.1 */
gconstpointer ndsh_frame_get_data (const NdshFrame *frame);
gsize ndsh_frame_get_size (const NdshFrame *frame);

/* Checked: dtypes known, all elements within the data. Since: 0.1 */
const NdshArrayInfo *ndsh_frame_get_arrays (const NdshFrame *frame,
                                            guint *n_arrays);

/* Frames of one reader for which it is the same have the same arrays, description and
 * stream's metadata: what was made of those need not be made again. Since: 0.1 */
guint ndsh_frame_get_format (const NdshFrame *frame);

/* "" if there is none. Since: 0.1 */
const char *ndsh_frame_get_description (const NdshFrame *frame);

/* Of the stream, see ndsh_writer_set_metadata (). NULL and 0 if there is none.
 * Since: 0.1 */
gconstpointer ndsh_frame_get_stream_metadata (const NdshFrame *frame, gsize *size);

/* Of this frame alone. NULL and 0 if there is none. Since: 0.1 */
gconstpointer ndsh_frame_get_metadata (const NdshFrame *frame, gsize *size);
const NdshFrameInfo *ndsh_frame_get_info (const NdshFrame *frame);

/* What its timestamp means. Since: 0.1 */
const NdshTiming *ndsh_frame_get_timing (const NdshFrame *frame);

/* When it was published; now minus this is the age of the frame. Since: 0.1 */
gint64 ndsh_frame_get_publish_ns (const NdshFrame *frame);

/* Within one stream a gap between two frames counts those this reader missed. Since: 0.1 */
guint64 ndsh_frame_get_sequence (const NdshFrame *frame);

/* Another id is another writer. Since: 0.1 */
const char *ndsh_frame_get_stream_id (const NdshFrame *frame);

/* Gives the lease back: the data must not be looked at any more. Since: 0.1 */
void ndsh_frame_release (NdshFrame *frame);

/* As of the last wait. Since: 0.1 */
gboolean ndsh_reader_is_connected (NdshReader *reader);

/* Counts are over all writers; zeros in the rest while there is none. Since: 0.1 */
void ndsh_reader_get_info (NdshReader *reader, NdshReaderInfo *info);

/* --- Metadata ------------------------------------------------------------- */

/*
 * Any bytes can travel with a frame. Those of ndshsink, and of the Python module where it
 * is given regions or metas, are items, which doc/protocol.md lists. Who does not know an
 * item's tag passes it over; tags from 0x80000000 on are for programs of their own.
 * Since: 0.1
 */
#define NDSH_TAG_REGION 5       /* NdshRegion */
#define NDSH_TAG_META 6         /* a GstStructure as text with its NUL, and maybe bytes */

/* @data: in the metadata, and as long valid; aligned to nothing
 * Since: 0.1 */
typedef struct {
  guint32 tag;
  gsize size;
  gconstpointer data;
} NdshItem;

/* Moves @item, at first all zeros, to the next item of @metadata. FALSE at the end; and at
 * once where these are no items, or one of them is cut: nothing in it is trusted.
 * Since: 0.1 */
gboolean ndsh_metadata_next (gconstpointer metadata, gsize size, NdshItem *item);

/* Adds an item to @metadata, which has nothing in it, or items. With its head of 8 bytes
 * it should leave @metadata at most NDSH_MAX_METADATA bytes long. Since: 0.1 */
void ndsh_metadata_append (GByteArray *metadata, guint32 tag, gconstpointer data,
                           gsize size);

/*
 * NdshRegion: a part of a picture that something is known of, like a detector's box; a
 * GstVideoRegionOfInterestMeta in pipelines.
 * @label: what it is; UTF-8; NULL is ""
 * @id: -1 for none
 * @parent_id: the id of the region in which it was found, -1 for none
 * @x, @y, @width, @height: pixels
 * @confidence: 0 to 1; less than 0 if unknown
 * @parameters: any more: lines, each a GstStructure as text; "" or NULL for none
 * Begin with NDSH_REGION_INIT, for 0 is a number and a confidence.
 * Since: 0.1
 */
typedef struct {
  const char *label;
  gint32 id;
  gint32 parent_id;
  guint32 x;
  guint32 y;
  guint32 width;
  guint32 height;
  double confidence;
  const char *parameters;
} NdshRegion;

/* A region of which nothing is known. Since: 0.1 */
#define NDSH_REGION_INIT                                                       \
  { .id = -1, .parent_id = -1, .confidence = -1 }

/* Adds an item that is @region, as ndsh_metadata_append () does. Since: 0.1 */
void ndsh_metadata_append_region (GByteArray *metadata, const NdshRegion *region);

/* FALSE if @item is no region, or none that can be. Texts stay the item's; whether the
 * region lies in the picture was not checked. Since: 0.1 */
gboolean ndsh_item_get_region (const NdshItem *item, NdshRegion *region);

/* --- Finding -------------------------------------------------------------- */

/* Names of the channels that have a live writer, or one that lingers, sorted,
 * NULL-terminated; to be freed with g_strfreev (). Since: 0.1 */
char **ndsh_list_channels (void);

/*
 * NdshChannelInfo: what a writer tells of itself.
 * @pid: its process, 0 where it is in another pid namespace
 * @uid: its user
 * @stream_id: as ndsh_writer_get_stream_id ()
 * @published: frames so far
 * @publish_ns: when the newest was published, 0 if none was
 * @n_readers: readers now
 * @bytes: shared memory for frames
 * @description: of the newest frame
 * @n_arrays: number of @arrays
 * @arrays: of the newest frame
 * @timing: what its timestamp means
 * @duration_ns: its duration, -1 if unknown
 * @metadata: of the stream, as ndsh_frame_get_stream_metadata () of the newest frame;
 *   @metadata_size bytes
 * Since: 0.1
 */
typedef struct {
  gint64 pid;
  gint64 uid;
  char stream_id[33];
  guint64 published;
  gint64 publish_ns;
  guint n_readers;
  guint64 bytes;
  char *description;
  guint n_arrays;
  NdshArrayInfo arrays[NDSH_MAX_ARRAYS];
  NdshTiming timing;
  gint64 duration_ns;
  guint8 *metadata;
  gsize metadata_size;
} NdshChannelInfo;

/* Asks the writer of @name, without becoming a reader. Errors are those of
 * ndsh_reader_wait () with a time-out of two seconds. Since: 0.1 */
NdshChannelInfo *ndsh_channel_info_new (const char *name, GError **error);
void ndsh_channel_info_free (NdshChannelInfo *info);

/*
 * NdshMonitor: the channels as they come and go. Nobody polls: directories tell of new
 * writers, and a connection to each that lasts as long as it lives, which is no reader's,
 * tells of the rest. Each writer has place for 64 of those, monitors beyond do not see it.
 * Used by one thread at a time.
 * Since: 0.1
 */
typedef struct _NdshMonitor NdshMonitor;

/* What there is already is its first news: waits for the writers that it finds to answer,
 * two seconds in all if one has stopped. Since: 0.1 */
NdshMonitor *ndsh_monitor_new (GError **error);
void ndsh_monitor_free (NdshMonitor *monitor);

/* An fd that polls readable when there may be news. Only for that. Since: 0.1 */
int ndsh_monitor_get_fd (NdshMonitor *monitor);

/* The name of a channel of which there is news, to be freed with g_free (); NULL if there
 * is none now, and always in a forked child. Ask until then before waiting again.
 * @info, the caller's, is NULL if the channel has gone. Else it has come, has another
 * writer, its first frame, or another description; or nothing that matters is new. Of
 * other arrays with the same description there is no news, nor of numbers. Since: 0.1 */
char *ndsh_monitor_next (NdshMonitor *monitor, NdshChannelInfo **info);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshWriter, ndsh_writer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshDraft, ndsh_draft_release)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshReader, ndsh_reader_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshFrame, ndsh_frame_release)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshChannelInfo, ndsh_channel_info_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NdshMonitor, ndsh_monitor_free)

G_END_DECLS

#endif
