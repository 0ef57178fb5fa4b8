# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs the models of this directory through Spin: the correct ones must hold, and
each mutant must break the property that it is meant to break.

  model.py                  small bounds
  model.py --thorough       larger ones
  model.py --only TEXT      what has TEXT in its name; --keep DIR for pan and trails

A search that memory, depth or time cut short has proved nothing, and fails.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

Model = collections.namedtuple('Model', 'file name define')
Mutant = collections.namedtuple('Mutant', 'model name breaks')

# How pan says that one of these does not hold.
PROPERTIES = {
    'I1': r'assertion violated.*(holds\[c\]|slot\[[01]\])',
    'I2': r'assertion violated.*(mem\[\(\d+\+s\)\]==q|value==q)',
    'I3': r'assertion violated.*(published-q|q>last)',
    'I4': r'invalid end state',
    'I5': r'assertion violated.*mode\[1\]==2',
    'lossless': r'assertion violated.*mode\[r\]!=2',
    'restore': r'assertion violated.*frame\[i\]',
    'I12': r'assertion violated.*generation\[',
    'I13': r'assertion violated.*replaced\[',
    'I22': r'assertion violated.*(last|ends)_before\[',
}

LATEST = 'MODE{0}=LATEST'
QUEUE = 'MODE{0}=QUEUE LENGTH{0}=2'
LOSSLESS = 'MODE{0}=LOSSLESS'


def model(file, name, *define):
    return Model(file, name, ' '.join(define))


QUICK = [
    model('lease', 'two-leases', 'LEASES0=2 FINDS1=1 S=5'),
    model('lease', 'queue', QUEUE.format(0), 'FINDS1=1 S=5'),
    model('lease', 'lossless', LOSSLESS.format(0), 'FINDS1=1 LAG0=3 START=4 S=4'),
    model('lease', 'join', 'LATE=1 FINDS0=1 FINDS1=1'),
    model('lease', 'crash', 'MORTAL=0 FINDS0=1 FINDS1=1 FRAMES=1'),
    model('lease', 'scarce', 'MAX_LEASABLE=1 FINDS0=1 FINDS1=1 S=3 START=1'),
    model('wake', 'latest', 'FRAMES=2'),
    model('wake', 'end', 'FRAMES=2 END_AFTER=2'),
    model('wake', 'parts', 'ALONE FRAMES=3 END_AFTER=1'),
    model('wake', 'parts-without-loss', LOSSLESS.format(0),
          'ALONE S=1 FRAMES=3 END_AFTER=1'),
    model('wake', 'lossless', LOSSLESS.format(0), 'S=1 FRAMES=2'),
    model('wake', 'backlog', LOSSLESS.format(0), 'ALONE S=3 FRAMES=5'),
    model('wake', 'backlog-leave', LOSSLESS.format(0), 'ALONE S=3 FRAMES=5 LEAVES'),
    model('wake', 'holds', 'HOLDS NOTIFIED S=2 FRAMES=3'),
    model('growth', 'two-readers', 'FRAMES=1 GROWTHS=1'),
    model('growth', 'latest', 'ALONE FRAMES=3 GROWTHS=2'),
    model('growth', 'queue', QUEUE.format(0), 'ALONE FRAMES=3 GROWTHS=2'),
    model('growth', 'lossless', LOSSLESS.format(0), 'ALONE FRAMES=3 GROWTHS=2'),
    model('growth', 'full', 'WAITS S=2 ALONE IDLES FRAMES=4 GROWTHS=2'),
    model('growth', 'retired', 'WAITS S=2 ALONE RETIRED=1 FRAMES=4 GROWTHS=3'),
]

# Mutants may be of these too: they are found long before such a search would end.
THOROUGH = [
    model('lease', 'two-leases-each', 'LEASES0=2 LEASES1=2 FINDS1=1 S=6'),
    model('lease', 'three-frames', 'FRAMES=3 FINDS1=1'),
    model('lease', 'longer-queue', QUEUE.format(0), 'LAG0=2 S=5'),
    model('lease', 'few-slots', QUEUE.format(0), 'LAG0=2 S=3 START=3 FEW'),
    model('lease', 'demotion', LOSSLESS.format(0), 'LAG0=3 START=4 S=4 DEMOTES'),
    model('lease', 'queue-and-lossless', LOSSLESS.format(0), QUEUE.format(1),
          'FINDS1=1 LAG0=3 START=4 S=5'),
    model('lease', 'crash-and-join', 'MORTAL=0 LATE=1 FINDS0=1 FINDS1=1'),
    model('lease', 'longer-crash', 'MORTAL=0'),
    model('lease', 'leave', 'LEAVES FINDS1=1'),
    model('lease', 'scarce-leases', 'MAX_LEASABLE=1 LEASES0=2 FINDS1=1 S=3 START=1 FRAMES=3'),
    model('lease', 'scarce-crash', 'MAX_LEASABLE=1 MORTAL=0 FINDS0=1 FINDS1=1 S=3 START=1'),
    model('lease', 'leave-alone', 'LEAVES FINDS0=1 FINDS1=0'),
    model('wake', 'two-ends', 'FRAMES=2 END_AFTER=1'),
    model('wake', 'ring', LOSSLESS.format(0), 'S=1 FRAMES=2 RING_ONLY'),
    model('wake', 'notified', LOSSLESS.format(0), 'S=1 FRAMES=2 NOTIFIED'),
    model('wake', 'leave', LOSSLESS.format(0), 'S=1 FRAMES=3 LEAVES'),
    model('wake', 'ring-leave', LOSSLESS.format(0), 'S=1 FRAMES=3 LEAVES RING_ONLY'),
    model('wake', 'crash', LOSSLESS.format(0), 'S=1 FRAMES=2 MORTAL=0'),
    model('growth', 'longer-two-readers', 'FRAMES=2 GROWTHS=1'),
    model('growth', 'four-frames', 'ALONE FRAMES=4 GROWTHS=3'),
]

# By what they are mutants of, and the property that each breaks.
MUTANTS = [
    ('lease', 'two-leases', {
        'HAZARD_STORE=RELEASE': 'I1',
        'HAZARD_CHECK=ACQUIRE': 'I1',
        'CLAIM_STORE=RELEASE': 'I1',
        'SCAN=ACQUIRE': 'I1',
        'MUT_SCAN_BEFORE_CLAIM': 'I1',
        'MUT_CHECK_BEFORE_HAZARD': 'I1',
        'MUT_NO_CHECK': 'I2',
        'MUT_HAZARD_NOT_MARKED': 'I1',
        'MUT_RELEASED_TOO_EARLY': 'I1',
        'MUT_NO_RESTORE': 'restore',
        'MUT_HEAD_BEFORE_FRAME': 'I3',
        'MUT_HEAD_BEFORE_RING': 'I3',
        'HEAD_STORE=RELAXED': 'I3',
        'MUT_ONE_SLOT_FEWER': 'I5',
    }),
    ('lease', 'scarce', {
        'WITHDRAW_STORE=RELEASE': 'I1',
        'MUT_SCAN_BEFORE_WITHDRAWAL': 'I1',
        'MUT_NO_CONFIRM': 'I2',
    }),
    ('lease', 'lossless', {'MUT_CURSOR_BEFORE_LEASE': 'lossless'}),
    ('lease', 'join', {'MUT_TOLD_BEFORE_JOINED': 'I1'}),
    ('lease', 'leave-alone', {'MUT_FREED_WHEN_IT_LEAVES': 'I1'}),
    ('wake', 'notified', {'MUT_SERVICE_DOES_NOT_NOTIFY': 'I4'}),
    ('wake', 'latest', {
        'READER_ARM=RELEASE': 'I4',
        # Either would do, since check_end has the second and then looks again.
        'LAST_LOOK=ACQUIRE ENDS_LOAD=ACQUIRE': 'I4',
        'HEAD_STORE=RELEASE': 'I4',
        'SLEEPER_LOOK=ACQUIRE': 'I4',
        'MUT_ARMS_LAST': 'I4',
        'MUT_POLLS_LAST': 'I4',
        'MUT_RINGS_BEFORE_PUBLISHING': 'I4',
    }),
    ('wake', 'end', {
        'MUT_END_DOES_NOT_RING': 'I4',
        'ENDS_STORE=RELEASE': 'I4',
        'MUT_ENDS_AFTER_THE_LOOK': 'I22',
    }),
    ('wake', 'parts', {
        'MUT_ENDS_OF_BEGIN': 'I22',
        'MUT_FRAME_BEFORE_ITS_END': 'I22',
        'MUT_TOLD_WHAT_CONTROL_SAYS': 'I22',
    }),
    ('wake', 'ring', {'CURSOR_STORE=RELEASE': 'I4'}),
    ('wake', 'leave', {'LEAVE_STORE=RELEASE': 'I4', 'LEFT_LOOK=ACQUIRE': 'I4'}),
    ('wake', 'backlog', {'MUT_ALWAYS_A_BACKLOG': 'I4'}),
    ('wake', 'backlog-leave', {'MUT_LEAVES_WITH_A_BACKLOG': 'I4'}),
    ('wake', 'crash', {'MUT_DEATH_DOES_NOT_SIGNAL': 'I4'}),
    ('wake', 'lossless', {
        'WRITER_ARM=RELEASE': 'I4',
        # Either would do for a reader that stays.
        'LEFT_LOOK=ACQUIRE CURSOR_LOOK=ACQUIRE': 'I4',
        'RELEASE_STORE=RELEASE': 'I4',
        'WRITER_LOOK=ACQUIRE': 'I4',
        'MUT_ARMS_AFTER_THE_LOOK': 'I4',
        'MUT_WRITER_DOES_NOT_ARM': 'I4',
        'MUT_WRITER_ARMS_ONCE': 'I4',
        'MUT_RINGS_BEFORE_RELEASING': 'I4',
        'MUT_RELEASE_DOES_NOT_RING': 'I4',
        'MUT_SERVICE_DOES_NOT_SIGNAL': 'I4',
    }),
    ('wake', 'holds', {
        'MUT_LOOK_DOES_NOT_RING': 'I4',
        'RELEASE_STORE=RELEASE': 'I4',
    }),
    ('growth', 'latest', {
        'MUT_GENERATION_IS_NOT_CHECKED': 'I12',
        'MUT_FULL_SOCKET_IS_FORGOTTEN': 'I4',
        'MUT_STALL_OUTLIVES_THE_MESSAGE': 'I4',
        'MUT_STALL_KEEPS_THE_LEASE': 'I4',
        'MUT_NEWEST_IS_SKIPPED': 'I4',
        'MUT_COUNTS_BEFORE_UNMAPPING': 'I13',
    }),
    ('growth', 'lossless', {'MUT_LOSSLESS_SKIPS': 'I3'}),
    ('growth', 'full', {
        'MUT_PASS_OVER_DOES_NOT_RING': 'I4',
        'MUT_LOOK_DOES_NOT_RING': 'I4',
    }),
    ('growth', 'retired', {'MUT_SEGMENT_DOES_NOT_RING': 'I4'}),
]


# They take longer than all others together.
SLOW = ['MUT_ONE_SLOT_FEWER', 'MUT_TOLD_BEFORE_JOINED']


class Failure(Exception):
    pass


def run(command, directory, seconds=600):
    try:
        done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds,
                              universal_newlines=True)
    except subprocess.TimeoutExpired:
        raise Failure('not finished after %d s' % seconds)
    return done.returncode, done.stdout


def must_run(command, directory):
    code, output = run(command, directory)
    # Spin reports some errors with a status of 0.
    if code != 0 or re.search(r'\bError\b', output):
        raise Failure('%s\n%s' % (' '.join(command), output))


def build(m, mutant, directory, flags):
    """Leaves pan in @directory. The C preprocessor runs apart, since Spin stumbles
    over the line markers that it leaves in macros."""
    define = ['-D' + d for d in m.define.split()]
    if mutant is not None:
        define += ['-D' + d for d in mutant.split()]
    source = os.path.join(HERE, m.file + '.pml')
    must_run(['gcc', '-E', '-P', '-x', 'c'] + define + ['-o', 'model.pml', source],
             directory)
    must_run(['spin', '-a', 'model.pml'], directory)
    must_run(['gcc', '-w', '-DSAFETY', '-DNOFAIR'] + flags + ['-o', 'pan', 'pan.c'],
             directory)


def search(directory, seconds):
    """What pan printed, after a search that came to an end by itself."""
    code, output = run(['./pan', '-b', '-m200000', '-w22'], directory, seconds)
    if code < 0:
        raise Failure('pan was killed by signal %d\n%s' % (-code, output))
    return output


def count_states(output):
    found = re.search(r'(\d[\d.e+]*) states, stored', output)
    return int(float(found.group(1))) if found else 0


def check_holds(output):
    cut_short = re.search(r'max search depth|not completed|memory limit|MEMLIM|'
                          r'out of memory|incomplete|aborted|truncated', output)
    if re.search(r'^pan:\d+:', output, re.M):
        raise Failure('does not hold\n' + output)
    if cut_short or not re.search(r'errors: 0$', output, re.M):
        raise Failure('the search is not complete\n' + output)


def check_breaks(output, breaks):
    said = re.search(r'^pan:\d+: (.*)$', output, re.M)
    if said is None or not re.search(r'errors: [1-9]', output):
        raise Failure('is not noticed\n' + output)
    if not re.search(PROPERTIES[breaks], said.group(1)):
        raise Failure('breaks something else than %s: %s' % (breaks, said.group(1)))


class Runner(object):
    def __init__(self, options):
        self.options = options
        self.top = options.keep or tempfile.mkdtemp(prefix='ndsh-model-')
        self.flags = ['-O2', '-DCOLLAPSE', '-DMEMLIM=12000']
        if not options.thorough:
            self.flags = ['-O2', '-DMEMLIM=2000']

    def check(self, job):
        m, mutant, breaks = job
        title = '-'.join([m.file, m.name] + ([mutant] if mutant else []))
        directory = os.path.join(self.top, title.replace(' ', '-'))
        start = time.time()
        os.makedirs(directory, exist_ok=True)
        try:
            # Most mutants are found sooner than the compiler has optimised.
            build(m, mutant, directory,
                  self.flags if mutant is None else ['-O0'] + self.flags[1:])
            output = search(directory, self.options.seconds)
            if mutant is None:
                check_holds(output)
            else:
                check_breaks(output, breaks)
        except Failure as failure:
            return title, False, str(failure)
        finally:
            if not self.options.keep:
                shutil.rmtree(directory)
        return title, True, '%10d states %6.1f s  %s' % (
            count_states(output), time.time() - start, breaks or 'holds')

    def run(self, jobs):
        good = True
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            for title, passed, text in pool.map(self.check, jobs):
                print('%-4s %-46s %s' % ('ok' if passed else 'FAIL', title, text))
                sys.stdout.flush()
                good = good and passed
        if not self.options.keep:
            shutil.rmtree(self.top)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print('%d runs, %.0f s of processor time' % (
            len(jobs), used.ru_utime + used.ru_stime))
        return good


def list_jobs(options):
    models = QUICK + (THOROUGH if options.thorough else [])
    jobs = [(m, None, None) for m in models]
    for file, name, mutants in MUTANTS:
        base = [m for m in QUICK + THOROUGH if (m.file, m.name) == (file, name)][0]
        jobs += [(base, mutant, breaks) for mutant, breaks in sorted(mutants.items())
                 if options.thorough or mutant not in SLOW]
    return [j for j in jobs
            if options.only in '-'.join([j[0].file, j[0].name, j[1] or ''])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--thorough', action='store_true')
    parser.add_argument('--only', default='', metavar='TEXT')
    parser.add_argument('--keep', metavar='DIR')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--seconds', type=int, default=None, help='for one search')
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 3600 if options.thorough else 240
    if options.keep:
        options.keep = os.path.abspath(options.keep)
    jobs = list_jobs(options)
    if not jobs:
        parser.error('nothing has %r in its name' % options.only)
    return 0 if Runner(options).run(jobs) else 1


if __name__ == '__main__':
    sys.exit(main())
