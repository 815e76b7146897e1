/* Stands between a program and the system (LD_PRELOAD). While the file that FAILING_DISK names is there,
 * what the program writes to its journal fails as the file says: "EIO on write", "EIO on sync". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) __typeof__(name) *next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int is_journal(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return strstr(path, "/journal.db") != NULL;
}

/* The error to fail with, or 0. */
static int failure(int fd, const char *operation) {
  const char *name = getenv("FAILING_DISK");
  int kept = errno, error = 0;
  if (name && access(name, F_OK) == 0 && is_journal(fd)) {
    char text[64] = "";
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
      if (syscall(SYS_read, file, text, sizeof text - 1) > 0 && strstr(text, operation))
        error = strstr(text, "EROFS") ? EROFS : strstr(text, "EDQUOT") ? EDQUOT : EIO;
      close(file);
    }
  }
  errno = kept;
  return error;
}

#define FAIL_OR(operation, call)                  \
  do {                                            \
    int error = failure(fd, operation);           \
    if (error) {                                  \
      errno = error;                              \
      return -1;                                  \
    }                                             \
    return call;                                  \
  } while (0)

ssize_t write(int fd, const void *bytes, size_t count) {
  NEXT(write);
  FAIL_OR("write", next(fd, bytes, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  NEXT(pwrite);
  FAIL_OR("write", next(fd, bytes, count, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  NEXT(pwrite64);
  FAIL_OR("write", next(fd, bytes, count, offset));
}

int ftruncate(int fd, off_t length) {
  NEXT(ftruncate);
  FAIL_OR("write", next(fd, length));
}

int ftruncate64(int fd, off64_t length) {
  NEXT(ftruncate64);
  FAIL_OR("write", next(fd, length));
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  NEXT(fallocate);
  FAIL_OR("write", next(fd, mode, offset, length));
}

int fsync(int fd) {
  NEXT(fsync);
  FAIL_OR("sync", next(fd));
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  FAIL_OR("sync", next(fd));
}
