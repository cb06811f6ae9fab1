/* A file system without locks, for one process: every request for one fails with ENOLCK. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

static int wants_lock(int command) {
  return command == F_SETLK || command == F_SETLKW;
}

#define WITHOUT_LOCKS(name)                                   \
  int name(int descriptor, int command, ...) {                \
    static int (*next)(int, int, ...);                        \
    va_list arguments;                                        \
    va_start(arguments, command);                             \
    void *argument = va_arg(arguments, void *);               \
    va_end(arguments);                                        \
    if (wants_lock(command)) {                                \
      errno = ENOLCK;                                         \
      return -1;                                              \
    }                                                         \
    if (!next) next = dlsym(RTLD_NEXT, #name);                \
    return next(descriptor, command, argument);               \
  }

WITHOUT_LOCKS(fcntl)
WITHOUT_LOCKS(fcntl64)
