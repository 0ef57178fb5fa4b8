/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steps.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_US (30 * G_USEC_PER_SEC)

#define MANY_STEPS 2000000      /* more than any operation takes */

/* --- What is particular to a machine -------------------------------------- */

/* Where the subject is, and whether the instruction there is a system call. */
typedef struct {
  guint64 pc;
  gboolean is_call;
} Place;

#if defined(__x86_64__) && !defined(__ILP32__)

#define CALL_MASK 0xffff
#define CALL_CODE 0x050f        /* syscall */
#define PC(registers) ((registers).rip)

static const char *
machine_why_not (void)
{
  return NULL;
}

#elif defined(__aarch64__)

#define CALL_MASK 0xffffffff
#define CALL_CODE 0xd4000001    /* svc #0 */
#define PC(registers) ((registers).pc)

/* A step between load-exclusive and store-exclusive makes the second fail, for ever:
 * there have to be other atomics. */
static const char *
machine_why_not (void)
{
  return getauxval (AT_HWCAP) & (1ul << 8)      /* HWCAP_ATOMICS */
           ? NULL
           : "the atomics of this core cannot be single-stepped";
}

#else

static const char *
machine_why_not (void)
{
  return "what a system call looks like is not known for this machine";
}

#endif

#ifdef PC

static Place
get_place (int pid)
{
  struct user_regs_struct registers;
  struct iovec iov = { &registers, sizeof registers };
  Place place;

  g_assert_cmpint (ptrace (PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov), ==, 0);
  place.pc = PC (registers);
  place.is_call = ((gulong) ptrace (PTRACE_PEEKTEXT, pid, place.pc, 0)
                   & CALL_MASK)
                  == CALL_CODE;
  return place;
}

#else

/* Only there to be linked: machine_why_not () has ended the program. What registers
 * are called is up to the machine, and not all have a struct for them. */
static Place
get_place (G_GNUC_UNUSED int pid)
{
  g_assert_not_reached ();
}

#endif

/* --- Whether it works here ------------------------------------------------ */

/* 0 or an errno. */
static int
try_one_step (void)
{
  int status, result = 0;
  pid_t pid = fork ();

  if (pid == 0) {
    if (ptrace (PTRACE_TRACEME, 0, 0, 0) < 0)
      _exit (errno);
    raise (SIGSTOP);
    _exit (0);
  }
  if (waitpid (pid, &status, 0) != pid || !WIFSTOPPED (status))
    return WIFEXITED (status) ? WEXITSTATUS (status) : ENOSYS;
  if (ptrace (PTRACE_SINGLESTEP, pid, 0, 0) < 0)
    result = errno;
  else if (waitpid (pid, &status, 0) != pid || !WIFSTOPPED (status)
           || WSTOPSIG (status) != SIGTRAP)
    result = ENOSYS;
  kill (pid, SIGKILL);
  waitpid (pid, &status, 0);
  return result;
}

char *
steps_why_not (void)
{
  const char *why = machine_why_not ();
  int result = why == NULL ? try_one_step () : 0;

  if (result != 0)
    why = g_strerror (result);
  return why != NULL ? g_strdup_printf ("processes cannot be taken step by step "
                                        "here: %s", why)
                     : NULL;
}

/* --- From stop to stop ---------------------------------------------------- */

/* To the thread, not the process: another thread is not traced and would stop for
 * good. */
void
steps_mark (void)
{
  raise (SIGSTOP);
}

static gulong
peek (int pid, gulong address)
{
  return (gulong) ptrace (PTRACE_PEEKDATA, pid, address, 0);
}

/* Where the arguments lie: the number of them, they, 0, the environment, 0, and then
 * what the kernel has to say to the program, in pairs. */
static gulong
find_stack (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", pid);
  g_autofree char *text = NULL;
  g_auto (GStrv) fields = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  fields = g_strsplit (strrchr (text, ')'), " ", -1);
  g_assert_cmpuint (g_strv_length (fields), >, 26);
  return strtoul (fields[26], NULL, 10);
}

/* Without the page of code by which the kernel tells the time: it tries again when
 * the clock has moved meanwhile, and under single steps it often has. Time is a
 * system call then. */
static void
hide_vdso (int pid)
{
  const gulong word = sizeof (gulong);
  gulong at = find_stack (pid);

  at += word * (2 + peek (pid, at));
  while (peek (pid, at) != 0)
    at += word;
  for (at += word; peek (pid, at) != AT_NULL; at += 2 * word)
    if (peek (pid, at) == AT_SYSINFO_EHDR)
      g_assert_cmpint (ptrace (PTRACE_POKEDATA, pid, at, AT_IGNORE), ==, 0);
}

int
steps_spawn (const char *role)
{
  int status;
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0) {
    /* So that runs are alike. Where it is refused they are alike but for
     * addresses, of which the offset in the page is compared alone. */
    personality (ADDR_NO_RANDOMIZE);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    ptrace (PTRACE_TRACEME, 0, 0, 0);
    execl ("/proc/self/exe", "subject", "--subject", role, NULL);
    _exit (127);
  }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSTOPPED (status) && WSTOPSIG (status) == SIGTRAP);
  g_assert_cmpint (ptrace (PTRACE_SETOPTIONS, pid, 0,
                           PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD),
                   ==, 0);
  hide_vdso (pid);
  return pid;
}

/* The signal that it stopped with. */
static int
resume (int pid, int request)
{
  int status;

  g_assert_cmpint (ptrace (request, pid, 0, 0), ==, 0);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  if (!WIFSTOPPED (status))
    g_error ("the subject ended by itself, status %x", (unsigned) status);
  return WSTOPSIG (status);
}

void
steps_run_to_mark (int pid)
{
  g_assert_cmpint (resume (pid, PTRACE_CONT), ==, SIGSTOP);
}

/* FALSE if there is a mark. */
static gboolean
step (int pid)
{
  int stop = resume (pid, PTRACE_SINGLESTEP);

  g_assert_true (stop == SIGTRAP || stop == SIGSTOP);
  return stop == SIGTRAP;
}

/* Whether thread @tid of @pid waits for something, or is stopped. */
static gboolean
thread_is_idle (int pid, const char *tid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/task/%s/stat", pid, tid);
  g_autofree char *text = NULL;
  const char *state;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return TRUE;                        /* it has ended */
  state = strrchr (text, ')');
  return state != NULL && strchr ("StTZX", state[2]) != NULL;
}

static gboolean
is_settled (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/task", pid);
  g_autoptr (GDir) threads = g_dir_open (path, 0, NULL);
  const char *tid;

  while (threads != NULL && (tid = g_dir_read_name (threads)) != NULL)
    if (atoi (tid) != pid && !thread_is_idle (pid, tid))
      return FALSE;
  return TRUE;
}

/* Who sends wakes who listens before the call returns, so a thread that has
 * something to do does not look asleep. */
void
steps_settle (int pid)
{
  gint64 until_us = g_get_monotonic_time () + TIMEOUT_US;

  while (!is_settled (pid)) {
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
    sched_yield ();
  }
}

static void
settle_both (int pid)
{
  steps_settle (pid);
  steps_settle (getpid ());
}

/* --- Finding out where something can be seen ------------------------------ */

/* The shared memory that the subject can write: its pages, copied in one go. */
typedef struct {
  GArray *there;                /* struct iovec */
  gsize size;
  guint8 *now;
  guint8 *before;
} View;

/* Of a slot the payload and the tail of a small frame: what follows may not have
 * memory behind it. */
static void
add_to_view (View *view, guint64 from, guint64 to, gboolean is_slot)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE);
  struct iovec part = { .iov_base = (gpointer) (gsize) from,
                        .iov_len = is_slot ? 2 * page : to - from };

  g_array_append_val (view->there, part);
  view->size += part.iov_len;
}

static gboolean
view_look (View *view, int pid)
{
  struct iovec here = { view->now, view->size };

  if (view->size == 0)
    return FALSE;
  g_assert_cmpint (process_vm_readv (pid, &here, 1,
                                     (struct iovec *) (gpointer) view->there->data,
                                     view->there->len, 0),
                   ==, (gssize) view->size);
  if (memcmp (view->now, view->before, view->size) == 0)
    return FALSE;
  memcpy (view->before, view->now, view->size);
  return TRUE;
}

/* After each system call, which may have mapped something. */
static void
view_open (View *view, int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/maps", pid);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  g_array_set_size (view->there, 0);
  view->size = 0;
  for (guint i = 0; lines[i] != NULL && *lines[i] != '\0'; i++) {
    char *end;
    guint64 from = g_ascii_strtoull (lines[i], &end, 16);
    guint64 to = g_ascii_strtoull (end + 1, &end, 16);

    if (g_str_has_prefix (end, " rw-s") && strstr (end, "/memfd:ndsh") != NULL)
      add_to_view (view, from, to, strstr (end, "/memfd:ndsh-slot") != NULL);
  }
  view->now = g_realloc (view->now, view->size);
  view->before = g_realloc (view->before, view->size);
  if (view->before != NULL)
    memset (view->before, 0, view->size);
  view_look (view, pid);
}

static void
view_clear (View *view)
{
  g_array_unref (view->there);
  g_free (view->now);
  g_free (view->before);
}

StepsRecord *
steps_record (int pid)
{
  StepsRecord *record = g_new0 (StepsRecord, 1);
  View view = { .there = g_array_new (FALSE, FALSE, sizeof (struct iovec)) };

  record->changes = g_array_new (FALSE, FALSE, sizeof (guint));
  record->calls = g_array_new (FALSE, FALSE, sizeof (guint));
  record->places = g_array_new (FALSE, FALSE, sizeof (guint16));
  view_open (&view, pid);
  for (;;) {
    Place place = get_place (pid);
    guint16 offset = place.pc & 0xfff;

    g_array_append_val (record->places, offset);
    if (!step (pid))
      break;
    record->n_steps++;
    g_assert_cmpuint (record->n_steps, <, MANY_STEPS);
    if (place.is_call) {
      settle_both (pid);
      g_array_append_val (record->calls, record->n_steps);
      view_open (&view, pid);
    }
    if (place.is_call || view_look (&view, pid))
      g_array_append_val (record->changes, record->n_steps);
  }
  view_clear (&view);
  return record;
}

void
steps_record_free (StepsRecord *record)
{
  if (record == NULL)
    return;
  g_array_unref (record->changes);
  g_array_unref (record->calls);
  g_array_unref (record->places);
  g_free (record);
}

/* --- Coming to a step ----------------------------------------------------- */

/* Over the next system call. FALSE if there is a mark. */
static gboolean
pass_call (int pid)
{
  for (int stops = 0; stops < 2; stops++) {
    int stop = resume (pid, PTRACE_SYSCALL);

    if (stop == SIGSTOP)
      return FALSE;
    g_assert_cmpint (stop, ==, SIGTRAP | 0x80);
  }
  settle_both (pid);
  return TRUE;
}

/* Whether the signal of a mark was sent and is still to be delivered: no step will
 * show it, and the SIGCONT to come would take it away. */
static gboolean
mark_is_pending (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", pid);
  g_autofree char *text = NULL;
  const char *pending;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  pending = strstr (text, "SigPnd:");
  return (g_ascii_strtoull (pending + 7, NULL, 16) >> (SIGSTOP - 1)) & 1;
}

/* From one system call to the next at full speed, and single steps from the last
 * one before @n. */
StepsPlace
steps_go (int pid, const StepsRecord *record, guint n)
{
  guint at = 0;

  for (guint i = 0; i < record->calls->len
                    && g_array_index (record->calls, guint, i) <= n;
       i++) {
    if (!pass_call (pid))
      return STEPS_AT_MARK;
    at = g_array_index (record->calls, guint, i);
  }
  for (; at < n; at++)
    if (!step (pid))
      return STEPS_AT_MARK;
  if (mark_is_pending (pid))
    return STEPS_AT_MARK;
  return (get_place (pid).pc & 0xfff) == g_array_index (record->places, guint16, n)
           ? STEPS_THERE
           : STEPS_ELSEWHERE;
}

/* --- Ending it ------------------------------------------------------------ */

void
steps_kill (int pid)
{
  int status;

  kill (pid, SIGKILL);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
}

void
steps_wait_mark (int pid)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, WUNTRACED), ==, pid);
  if (!WIFSTOPPED (status))
    g_error ("the subject ended instead of stopping, status %x",
             (unsigned) status);
}

/* The signal first: from the moment it is let go of it runs no instruction. */
void
steps_stop (int pid)
{
  kill (pid, SIGSTOP);
  g_assert_cmpint (ptrace (PTRACE_DETACH, pid, 0, 0), ==, 0);
  steps_wait_mark (pid);
}

void
steps_continue (int pid)
{
  kill (pid, SIGCONT);
}

int
steps_wait_exit (int pid)
{
  int status;

  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  if (!WIFEXITED (status))
    g_error ("the subject died, status %x", (unsigned) status);
  return WEXITSTATUS (status);
}
