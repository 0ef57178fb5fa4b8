/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A GMainContext with a source for each socket. Nothing a guest does or leaves
 * undone holds up another: no call blocks, and one that says nothing for two
 * seconds, or while many others come, or nonsense, is dropped with a line in the
 * log.
 */
#include "service.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "lifeline.h"
#include "rendezvous.h"

#define PATIENCE_MS 2000        /* for a HELLO */
#define MAX_SILENT 64           /* guests that have said nothing yet */
#define MAX_WATCHES 64          /* guests that stay and never read */
#define PAUSE_MS 1000           /* without accepting, when fds have run out */
#define MAX_LINES 10            /* in the log a second */
#define RETRY_MS 10             /* of a send that failed although there is room */

/* Bytes that may lie unread in a reader's socket: some 40 messages. Each can hold
 * an fd, and the kernel counts those under way for the writer's user as a whole: at
 * RLIMIT_NOFILE it takes none for anybody. */
#define MAX_UNREAD 16384

struct _NdshService {
  GMainContext *context;
  GMainLoop *loop;
  GThread *thread;
  int listen_fd;
  GPtrArray *members;           /* Member *, used by the thread alone */
  GQueue silent;                /* those that have not said HELLO, as they came */
  GSource *quiet;               /* ends the second in which n_lines were said */
  guint n_lines;
  guint n_watches;
  pthread_mutex_t lock;         /* of Member.writable */
  NdshServiceCallbacks callbacks;
  gpointer owner;
};

typedef struct {
  NdshGuest guest;              /* first: callbacks know it as this */
  NdshService *service;
  GSource *readable;
  GSource *patience;            /* until it has said HELLO */
  GSource *writable;            /* while its socket is known to be full */
} Member;

static void listen_for_guests (NdshService *service);

static GSource *
attach (NdshService *service, GSource *source, GSourceFunc function,
        gpointer data)
{
  g_source_set_callback (source, function, data, NULL);
  g_source_attach (source, service->context);
  return source;
}

/* The callback of g_unix_fd_source_new () has another type than GSourceFunc. */
static GSource *
attach_fd (NdshService *service, int fd, GIOCondition condition,
           GUnixFDSourceFunc function, gpointer data)
{
  return attach (service, g_unix_fd_source_new (fd, condition),
                 (GSourceFunc) (void (*) (void)) function, data);
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

static void
stop_waiting_for_hello (Member *member)
{
  clear_source (&member->patience);
  g_queue_remove (&member->service->silent, member);
}

static void
member_free (Member *member)
{
  member->service->n_watches -= member->guest.watches;
  clear_source (&member->readable);
  stop_waiting_for_hello (member);
  clear_source (&member->writable);
  ndsh_lifeline_close (member->guest.fd);
  g_free (member);
}

static void
drop (Member *member)
{
  NdshService *service = member->service;

  if (member->guest.joined != NULL)
    service->callbacks.gone (service->owner, &member->guest);
  g_ptr_array_remove_fast (service->members, member);
}

static void
end_second (NdshService *service)
{
  if (service->n_lines > MAX_LINES)
    g_message ("dropped %u more processes or connections within a second",
               service->n_lines - MAX_LINES);
  service->n_lines = 0;
  clear_source (&service->quiet);
}

static gboolean
on_second_over (gpointer data)
{
  end_second (data);
  return G_SOURCE_REMOVE;
}

/* A flood of guests is no flood of lines. */
static void
say_dropped (NdshService *service, gint64 pid, const char *why)
{
  g_autofree char *who = ndsh_peer_to_string (pid);

  if (service->quiet == NULL)
    service->quiet = attach (service, g_timeout_source_new (1000),
                             on_second_over, service);
  if (service->n_lines++ < MAX_LINES)
    g_message ("dropped %s: %s", who, why);
}

static void
drop_and_say (Member *member, const char *why)
{
  say_dropped (member->service, member->guest.pid, why);
  drop (member);
}

void
ndsh_guest_refuse (NdshGuest *guest, const GError *error)
{
  NdshRefused refused = { .code = (guint32) error->code };

  ndsh_header_init (&refused, NDSH_MESSAGE_REFUSED, sizeof refused);
  g_strlcpy (refused.text, error->message, sizeof refused.text);
  ndsh_message_send (guest->fd, &refused, sizeof refused, NULL, 0);
}

/* --- What guests say ------------------------------------------------------ */

static void
limit_unread (int fd)
{
  int size = MAX_UNREAD;

  setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* Who comes too late must not take the place of who watches already: that one would come
 * again at once, and so on. */
static void
let_watch (Member *member)
{
  NdshService *service = member->service;
  g_autoptr (GError) error = NULL;

  if (service->n_watches >= MAX_WATCHES) {
    g_set_error (&error, NDSH_ERROR, NDSH_ERROR_DENIED,
                 "%d processes watch this channel, and no more may", MAX_WATCHES);
    ndsh_guest_refuse (&member->guest, error);
    return;
  }
  member->guest.watches = TRUE;
  service->callbacks.status (service->owner, &member->guest);
  service->n_watches += member->guest.watches;
}

/* FALSE if the member was dropped. */
static gboolean
greet (Member *member, const NdshMessage *message)
{
  NdshService *service = member->service;

  stop_waiting_for_hello (member);
  switch (message->type) {
  case NDSH_MESSAGE_HELLO:
    limit_unread (member->guest.fd);
    service->callbacks.hello (service->owner, &member->guest,
                              &message->body.hello);
    break;
  case NDSH_MESSAGE_STATUS:
    service->callbacks.status (service->owner, &member->guest);
    break;
  case NDSH_MESSAGE_WATCH:
    let_watch (member);
    break;
  case NDSH_MESSAGE_YIELD:
    if (service->callbacks.yield != NULL)
      service->callbacks.yield (service->owner, &member->guest);
    break;
  default:
    drop_and_say (member, "its first message was not HELLO");
    return FALSE;
  }
  if (member->guest.joined != NULL || member->guest.watches)
    return TRUE;
  drop (member);
  return FALSE;
}

static gboolean
obey (Member *member, const NdshMessage *message)
{
  NdshService *service = member->service;

  if (member->guest.joined == NULL && !member->guest.watches)
    return greet (member, message);
  if (message->type == NDSH_MESSAGE_WAKE && member->guest.joined != NULL) {
    service->callbacks.woken (service->owner);
    return TRUE;
  }
  drop_and_say (member, "it sent a message that a reader has no use for");
  return FALSE;
}

/* A process that ends hangs up; one that lives on has done something else that
 * looks like the end of what it says. */
static void
see_off (Member *member, GIOCondition condition)
{
  if (condition & G_IO_HUP)
    drop (member);
  else
    drop_and_say (member, "it closed half of its socket, or sent a message of "
                          "no bytes");
}

/* One message a call, so that one who sends many does not keep the others
 * waiting. */
static gboolean
on_readable (gint fd, GIOCondition condition, gpointer data)
{
  Member *member = data;
  g_autoptr (GError) error = NULL;
  NdshMessage message;
  gboolean stays = TRUE;

  switch (ndsh_message_receive (fd, &message, &error)) {
  case NDSH_IO_DONE:
    stays = obey (member, &message);
    ndsh_message_clear (&message);
    break;
  case NDSH_IO_AGAIN:
    break;
  case NDSH_IO_GONE:
    see_off (member, condition);
    stays = FALSE;
    break;
  case NDSH_IO_BAD:
    if (member->guest.joined == NULL)
      ndsh_guest_refuse (&member->guest, error);
    drop_and_say (member, error->message);
    stays = FALSE;
    break;
  }
  return stays ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean
on_out_of_patience (gpointer data)
{
  drop_and_say (data, "it connected and then said nothing");
  return G_SOURCE_REMOVE;
}

/* --- Who comes ------------------------------------------------------------ */

static void
take_in (NdshService *service, int fd)
{
  Member *member = g_new0 (Member, 1);

  member->service = service;
  member->guest.fd = fd;
  ndsh_peer_get (fd, &member->guest.pid, &member->guest.uid);
  member->readable = attach_fd (service, fd, G_IO_IN | G_IO_HUP | G_IO_ERR,
                                on_readable, member);
  member->patience = attach (service, g_timeout_source_new (PATIENCE_MS),
                             on_out_of_patience, member);
  g_ptr_array_add (service->members, member);
  g_queue_push_tail (&service->silent, member);

  /* Who means to read says so at once, and so is never the oldest for long. */
  if (service->silent.length > MAX_SILENT)
    drop_and_say (g_queue_peek_head (&service->silent),
                  "it said nothing while many others connected");
}

static gboolean
on_pause_over (gpointer data)
{
  listen_for_guests (data);
  return G_SOURCE_REMOVE;
}

/* The connection stays in the backlog and would wake us at once again. */
static void
pause_listening (NdshService *service)
{
  g_autoptr (GError) why = NULL;

  ndsh_set_errno (&why, "cannot accept readers for now");
  g_message ("%s", why->message);
  g_source_unref (attach (service, g_timeout_source_new (PAUSE_MS),
                          on_pause_over, service));
}

static gboolean
on_connection (gint listen_fd, GIOCondition condition, gpointer data)
{
  NdshService *service = data;
  int fd;

  (void) condition;
  ndsh_lifeline_lock ();
  fd = ndsh_lifeline_add (
    accept4 (listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
  ndsh_lifeline_unlock ();
  if (fd >= 0) {
    take_in (service, fd);
  } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS
             || errno == ENOMEM) {
    pause_listening (service);
    return G_SOURCE_REMOVE;
  }
  return G_SOURCE_CONTINUE;
}

static void
listen_for_guests (NdshService *service)
{
  g_source_unref (attach_fd (service, service->listen_fd, G_IO_IN,
                             on_connection, service));
}

/* --- The thread ----------------------------------------------------------- */

static gpointer
run (gpointer data)
{
  NdshService *service = data;

  g_main_loop_run (service->loop);
  return NULL;
}

/* Signals are for the threads of the program, not for one it does not know of;
 * the mask is inherited. */
static GThread *
start_thread (NdshService *service, GError **error)
{
  sigset_t all, before;
  GThread *thread;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  thread = g_thread_try_new ("ndsh-writer", run, service, error);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return thread;
}

/* GLib ends the program when a GMainContext cannot have its fd: look first. Nor is
 * ours made the default of its thread, which would make the program's default
 * context as well, when there may be no fd left. */
static gboolean
context_can_be_made (GError **error)
{
  int fd = eventfd (0, EFD_CLOEXEC);

  if (fd < 0)
    return ndsh_set_errno (error, "cannot start the writer's thread");
  close (fd);
  return TRUE;
}

NdshService *
ndsh_service_new (int listen_fd, const NdshServiceCallbacks *callbacks,
                  gpointer owner, GError **error)
{
  NdshService *service;
  g_autoptr (GError) why = NULL;

  if (!context_can_be_made (error)) {
    ndsh_lifeline_close (listen_fd);
    return NULL;
  }
  service = g_new0 (NdshService, 1);
  service->context = g_main_context_new ();
  service->loop = g_main_loop_new (service->context, FALSE);
  service->members
    = g_ptr_array_new_with_free_func ((GDestroyNotify) member_free);
  g_queue_init (&service->silent);
  service->listen_fd = listen_fd;
  service->callbacks = *callbacks;
  service->owner = owner;
  pthread_mutex_init (&service->lock, NULL);
  listen_for_guests (service);
  service->thread = start_thread (service, &why);
  if (service->thread != NULL)
    return service;
  g_set_error (error, NDSH_ERROR, NDSH_ERROR_SYSTEM,
               "cannot start the writer's thread: %s", why->message);
  ndsh_service_free (service);
  return NULL;
}

/* Has @function called by the thread. The lock is for ThreadSanitizer, which does
 * not see that GLib orders the two: hear_from_outside () meets it. */
static void
tell_thread (NdshService *service, GSourceFunc function)
{
  pthread_mutex_lock (&service->lock);
  g_source_unref (
    attach (service, g_idle_source_new (), function, service));
  pthread_mutex_unlock (&service->lock);
}

static void
hear_from_outside (NdshService *service)
{
  pthread_mutex_lock (&service->lock);
  pthread_mutex_unlock (&service->lock);
}

static gboolean
on_quit (gpointer data)
{
  NdshService *service = data;

  hear_from_outside (service);
  g_main_loop_quit (service->loop);
  return G_SOURCE_REMOVE;
}

/* As a source, because a quit before the loop runs would be lost. */
void
ndsh_service_stop (NdshService *service)
{
  if (service->thread == NULL)
    return;
  tell_thread (service, on_quit);
  g_thread_join (service->thread);
  service->thread = NULL;
}

int
ndsh_service_get_listen_fd (NdshService *service)
{
  return service->listen_fd;
}

void
ndsh_service_free (NdshService *service)
{
  ndsh_service_stop (service);
  end_second (service);
  ndsh_lifeline_close (service->listen_fd);
  g_ptr_array_unref (service->members);
  g_main_loop_unref (service->loop);
  g_main_context_unref (service->context);
  pthread_mutex_destroy (&service->lock);
  g_free (service);
}

/* --- Who could not be told ------------------------------------------------ */

static gboolean
has_hung_up (int fd)
{
  struct pollfd state = { .fd = fd };

  return poll (&state, 1, 0) != 0;
}

static gboolean
on_retry (gpointer data)
{
  Member *member = data;
  NdshService *service = member->service;

  pthread_mutex_lock (&service->lock);
  clear_source (&member->writable);
  pthread_mutex_unlock (&service->lock);
  if (!service->callbacks.writable (service->owner, &member->guest)
      && !has_hung_up (member->guest.fd))
    drop_and_say (member, "it closed half of its socket");
  return G_SOURCE_REMOVE;
}

static gboolean
on_writable (gint fd, GIOCondition condition, gpointer data)
{
  (void) fd;
  (void) condition;
  return on_retry (data);
}

/* Where there is room, something else was the reason, and it would be so again at
 * once: the user's fds under way, memory, or a peer that is deaf or gone. */
void
ndsh_service_watch_writable (NdshService *service, NdshGuest *guest)
{
  Member *member = (Member *) guest;
  struct pollfd room = { .fd = guest->fd, .events = POLLOUT };

  pthread_mutex_lock (&service->lock);
  if (member->writable == NULL)
    member->writable
      = poll (&room, 1, 0) == 1
          ? attach (service, g_timeout_source_new (RETRY_MS), on_retry, member)
          : attach_fd (service, guest->fd, G_IO_OUT, on_writable, member);
  pthread_mutex_unlock (&service->lock);
}

static gboolean
on_wake (gpointer data)
{
  NdshService *service = data;

  hear_from_outside (service);
  service->callbacks.woken (service->owner);
  return G_SOURCE_REMOVE;
}

gboolean
ndsh_service_is_current (NdshService *service)
{
  return g_main_context_is_owner (service->context);
}

void
ndsh_service_wake (NdshService *service)
{
  tell_thread (service, on_wake);
}

/* --- Who watches ---------------------------------------------------------- */

static gboolean
on_watches_old (gpointer data)
{
  NdshService *service = data;

  hear_from_outside (service);
  for (guint i = service->members->len; i-- > 0;) {
    Member *member = g_ptr_array_index (service->members, i);

    if (member->guest.watches)
      drop (member);
  }
  return G_SOURCE_REMOVE;
}

void
ndsh_service_end_watches (NdshService *service)
{
  tell_thread (service, on_watches_old);
}
