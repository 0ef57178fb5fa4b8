/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What tests of the whole library share: a directory of their own, and frames
 * whose bytes tell their number. */
#ifndef NDSH_TEST_H
#define NDSH_TEST_H

#include <ndsh.h>

/* A new empty $NDSH_DIR; removed by the second, which fails if a file but locks is
 * left in it. */
void ndsh_test_dir_setup (void);
void ndsh_test_dir_teardown (void);

/* uint8[size] */
NdshArrayInfo ndsh_test_bytes (gsize size);

/* Publishes @n frames of @size bytes; each byte of a frame is its number. */
void ndsh_test_publish (NdshWriter *writer, gsize size, guint n);

/* Waits at most 10 s for the next frame; fails the test if none comes or if one of
 * its bytes is not its number. */
NdshFrame *ndsh_test_next (NdshReader *reader);
void ndsh_test_check_bytes (NdshFrame *frame);

/* Fails unless wait returns @code. */
void ndsh_test_wait_fails (NdshReader *reader, gint64 timeout_us, NdshError code);

NdshWriter *ndsh_test_writer (const NdshWriterOptions *options);
NdshReader *ndsh_test_reader (NdshReadMode mode, guint queue, guint leases);

/* Like the above, and it returns when the two know each other: nothing published
 * from here on is before the reader's time. */
NdshReader *ndsh_test_joined_reader (NdshReadMode mode, guint queue,
                                     guint leases);

/* Watches the library's log from here on, in all threads: a line that does not
 * match @pattern fails the test. Wait takes 10 s at the most; stop returns how many
 * lines there were. */
void ndsh_test_log_start (const char *pattern);
void ndsh_test_log_wait (guint n_lines);
guint ndsh_test_log_stop (void);

/* Two ends of a SOCK_SEQPACKET connection. */
void ndsh_test_socketpair (int ends[2]);

/* Sends what ndsh_message_send () would not: any bytes, and as many fds as the kernel
 * takes in one message. FALSE with errno if it did not take them, now. */
#define NDSH_TEST_MAX_FDS 253
gboolean ndsh_test_send (int socket, gconstpointer data, gsize size, const int *fds,
                         guint n_fds);

/* Fails unless @fd polls readable within 10 s; whether it is now. */
void ndsh_test_wait_readable (int fd);
gboolean ndsh_test_is_readable (int fd);

/* From here on this process can open @n_fds more; until the second is called. */
void ndsh_test_limit_fds (guint n_fds);
void ndsh_test_unlimit_fds (void);

/* $NDSH_DIR/@name, to be freed. */
char *ndsh_test_path (const char *name);

/* Runs @function in a child that sees nothing of the machine's channels, but an empty /run
 * and /tmp of its own and no variable that names another directory; as root, or if @uid is
 * not 0 as that. Fails unless it returns TRUE; skips the test where that cannot be had. */
void ndsh_test_in_empty_world (gboolean (*function) (void), guint uid);

/* Waits for @child, a pid_t, and fails unless it exited with 0. */
void ndsh_test_child_succeeds (int child);

/* Entries of /proc/self/fd, and mappings of shared memory that ndsh made. */
guint ndsh_test_count_fds (void);
guint ndsh_test_count_maps (void);

#endif
