/* A disk that takes longer to sync: for LD_PRELOAD. Each fsync and fdatasync first waits for as many
   microseconds as the file SLOW_SYNC_FILE says; 0, or no file, is no wait. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_first(void) {
  int before = errno;
  char text[32] = {0};
  const char *path = getenv("SLOW_SYNC_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    if (read(file, text, sizeof text - 1) > 0) {
      long us = atol(text);
      struct timespec left = {us / 1000000, us % 1000000 * 1000};
      while (nanosleep(&left, &left) && errno == EINTR) {
      }
    }
    close(file);
  }
  errno = before;
}

int fsync(int fd) {
  static int (*next)(int);
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_first();
  return next(fd);
}

int fdatasync(int fd) {
  static int (*next)(int);
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_first();
  return next(fd);
}
