/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * SOCK_SEQPACKET keeps messages apart, so there is no length to trust before it
 * is read: what is longer than the longest message is cut, and refused.
 */
#include "message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"

#define MAX_FDS 8               /* that are looked at in a message */

void
ndsh_header_init (gpointer message, guint32 type, gsize size)
{
  NdshHeader header = { NDSH_MAGIC, NDSH_MAJOR, NDSH_MINOR, type,
                        (guint32) size };

  memcpy (message, &header, sizeof header);
}

NdshIo
ndsh_message_send (int socket, gconstpointer message, gsize size,
                   const int *fds, guint n_fds)
{
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE (NDSH_MESSAGE_FDS * sizeof (int))];
  } control = { .space = { 0 } };
  struct iovec data = { (gpointer) message, size };
  struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1 };
  ssize_t sent;

  g_assert (n_fds <= NDSH_MESSAGE_FDS);
  if (n_fds > 0) {
    msg.msg_control = &control;
    msg.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN (n_fds * sizeof (int));
    memcpy (CMSG_DATA (&control.header), fds, n_fds * sizeof (int));
  }
  do
    sent = sendmsg (socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0)
    return NDSH_IO_DONE;
  /* ETOOMANYREFS: too many fds of this user are under way, to peers that do not
   * read. That passes, or the peers do. */
  if (errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS
      || errno == ENOMEM)
    return NDSH_IO_AGAIN;
  return NDSH_IO_GONE;
}

/* --- Receiving ------------------------------------------------------------ */

static const struct {
  gsize size;
  guint n_fds;
} kinds[] = {
  [NDSH_MESSAGE_HELLO] = { sizeof (NdshHello), 0 },
  [NDSH_MESSAGE_STATUS] = { sizeof (NdshHeader), 0 },
  [NDSH_MESSAGE_WELCOME] = { sizeof (NdshWelcome), 3 },
  [NDSH_MESSAGE_REFUSED] = { sizeof (NdshRefused), 0 },
  [NDSH_MESSAGE_SEGMENT] = { sizeof (NdshSegmentMessage), 1 },
  [NDSH_MESSAGE_WATCH] = { sizeof (NdshHeader), 0 },
  [NDSH_MESSAGE_YIELD] = { sizeof (NdshHeader), 0 },
};

static gboolean G_GNUC_PRINTF (2, 3)
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (NDSH_ERROR, NDSH_ERROR_INCOMPATIBLE, format,
                                 args);
  va_end (args);
  return FALSE;
}

static guint
count_fds (const NdshMessage *message)
{
  guint type = message->body.header.type;

  if (type == NDSH_MESSAGE_SEGMENT && message->body.segment.size == 0)
    return 0;
  return kinds[type].n_fds;
}

gboolean
ndsh_message_check (const NdshMessage *message, gsize size, guint n_fds,
                    GError **error)
{
  const NdshHeader *header = &message->body.header;

  if (size == 1 && n_fds == 0 && ((const char *) header)[0] == 'w')
    return TRUE;
  if (size < sizeof *header || header->magic != NDSH_MAGIC)
    return refuse (error,
                   "the peer does not speak ndsh's protocol "
                   "(a message of %u bytes, %u fds)",
                   (guint) size, n_fds);
  if (header->major != NDSH_MAJOR)
    return refuse (error,
                   "the peer speaks version %u of ndsh's protocol, this process "
                   "version %u; run the same release on both sides",
                   header->major, NDSH_MAJOR);
  /* A higher minor may send more; what it appended is not read. */
  if (header->type == 0 || header->type >= G_N_ELEMENTS (kinds)
      || size < kinds[header->type].size || header->size < size
      || n_fds != count_fds (message))
    return refuse (error,
                   "the peer sent a message that cannot be (type %u, %u bytes)",
                   header->type, (guint) size);
  if (header->type == NDSH_MESSAGE_REFUSED
      && memchr (message->body.refused.text, '\0',
                 sizeof message->body.refused.text)
           == NULL)
    return refuse (error,
                   "the peer sent a text without an end");
  return TRUE;
}

/* Takes all fds that came, wanted or not: those not taken would leak. */
static guint
take_fds (struct msghdr *msg, NdshMessage *message)
{
  guint n = 0;

  for (struct cmsghdr *c = CMSG_FIRSTHDR (msg); c != NULL;
       c = CMSG_NXTHDR (msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    for (gsize at = CMSG_LEN (0); at + sizeof (int) <= c->cmsg_len;
         at += sizeof (int), n++) {
      int fd;

      memcpy (&fd, (char *) c + at, sizeof fd);
      if (n < G_N_ELEMENTS (message->fds))
        message->fds[n] = fd;
      else
        close (fd);
    }
  }
  return n;
}

/* The kernel has no place for some fds: either in what we gave it for them, which
 * has room for more than any message carries, or among our open files. */
static void
explain_lost_fds (guint n_fds, GError **error)
{
  if (n_fds >= MAX_FDS) {
    refuse (error, "the peer sent more than %d fds with a message", MAX_FDS);
    return;
  }
  errno = EMFILE;
  ndsh_set_errno (error, "cannot receive shared memory");
}

static ssize_t
receive (int socket, struct msghdr *msg)
{
  ssize_t size;
  int resets = 0;

  /* A peer that closes with unread bytes of ours resets us once; what it had sent
   * comes after that. */
  do
    size = recvmsg (socket, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (size < 0
         && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
  return size;
}

NdshIo
ndsh_message_receive (int socket, NdshMessage *message, GError **error)
{
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE (MAX_FDS * sizeof (int))];
  } control;
  struct iovec data = { &message->body, sizeof message->body };
  struct msghdr msg = { .msg_iov = &data,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control };
  ssize_t size;
  guint n_fds;

  memset (message, 0, sizeof *message);
  for (guint i = 0; i < NDSH_MESSAGE_FDS; i++)
    message->fds[i] = -1;
  size = receive (socket, &msg);
  if (size < 0)
    return errno == EAGAIN ? NDSH_IO_AGAIN : NDSH_IO_GONE;
  n_fds = take_fds (&msg, message);
  /* The end; or an empty message, which reads the same but may have fds. */
  if (size == 0) {
    ndsh_message_clear (message);
    return NDSH_IO_GONE;
  }
  if (msg.msg_flags & MSG_CTRUNC) {
    explain_lost_fds (n_fds, error);
  } else if (ndsh_message_check (message, (gsize) size, n_fds, error)) {
    message->type = size == 1 ? NDSH_MESSAGE_WAKE : message->body.header.type;
    return NDSH_IO_DONE;
  }
  ndsh_message_clear (message);
  return NDSH_IO_BAD;
}

void
ndsh_message_clear (NdshMessage *message)
{
  for (guint i = 0; i < G_N_ELEMENTS (message->fds); i++) {
    if (message->fds[i] >= 0)
      close (message->fds[i]);
    message->fds[i] = -1;
  }
}

char *
ndsh_text_to_print (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *printed = g_string_new (NULL);

  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);

    g_string_append_unichar (printed, g_unichar_isprint (c) ? c : '?');
  }
  return g_string_free (printed, FALSE);
}

void
ndsh_stream_id_copy (char id[33], const char *foreign)
{
  memcpy (id, foreign, 32);
  for (guint i = 0; i < 32; i++)
    if (!g_ascii_isxdigit (id[i]))
      id[i] = '0';
  id[32] = '\0';
}
