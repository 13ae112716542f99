/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * GSL reports errors to one handler for the whole process, which aborts unless told otherwise. Ours
 * keeps still about errors in a step of this thread and hands every other one on, so that a program
 * with GSL code of its own sees no difference. A step takes no lock: only making a stepper, freeing
 * it and beginning a solve do.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "stepper.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static _Atomic(gsl_error_handler_t *) before;
static _Thread_local bool *listener;

static void handler(const char *reason, const char *file, int line, int code) {
  if (listener) {
    *listener = true;
    return;
  }
  gsl_error_handler_t *theirs = atomic_load(&before);
  if (!theirs) gsl_set_error_handler(NULL); /* GSL's own answer, as if we were not here */
  if (theirs) theirs(reason, file, line, code);
  else gsl_error(reason, file, line, code);
}

static void install(void) {
  gsl_error_handler_t *theirs = gsl_set_error_handler(handler);
  if (theirs != handler) atomic_store(&before, theirs);
}

void quiet_acquire(void) {
  pthread_mutex_lock(&lock);
  users++;
  install();
  pthread_mutex_unlock(&lock);
}

void quiet_renew(void) {
  pthread_mutex_lock(&lock);
  install();
  pthread_mutex_unlock(&lock);
}

/* A handler that was set after ours stays. */
void quiet_release(void) {
  pthread_mutex_lock(&lock);
  if (--users == 0) {
    gsl_error_handler_t *now = gsl_set_error_handler(atomic_load(&before));
    if (now != handler) gsl_set_error_handler(now);
  }
  pthread_mutex_unlock(&lock);
}

bool *quiet_listen(bool *raised) {
  bool *was = listener;
  listener = raised;
  return was;
}
