/*
 * A PKCS#11 v2.40 module that passes every call on to a real one, and misbehaves on command: see README.md.
 *
 *   FAULT_TOKEN_LIBRARY  path of the real module
 *   FAULT_TOKEN_CONTROL  path of the control file, made by control-file.ts and mapped here: commands come in and counters go out while calls run
 *
 * No lock is held while a call sleeps, hangs or is in the real module. The one lock is for closing the sessions of a token that was removed.
 */
#define _GNU_SOURCE
#include "cryptoki.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum kind {
  OF_LIBRARY,     /* answers whether there is a token or not */
  OF_TOKEN,       /* names a slot */
  OF_SESSION,     /* names a session */
  ENDS_OPERATION, /* names a session, and ends what was begun there whatever it returns (v2.40 §5.8 and following) */
};

#define AS_INDEX(kind, name, parameters, arguments, stores) INDEX_##name,
enum { CRYPTOKI_FUNCTIONS(AS_INDEX) FUNCTION_COUNT };
#undef AS_INDEX
#define AS_NAME(kind, name, parameters, arguments, stores) #name,
static const char *const names[] = {CRYPTOKI_FUNCTIONS(AS_NAME)};
#undef AS_NAME

/* The control file. Fields, offsets and order of functions are those of control-file.ts. */
enum manner { SILENT, REMOVED };
struct commands {
  char name[24];
  _Atomic uint32_t latency_us;
  _Atomic uint32_t fail_code;
  _Atomic uint32_t fail_every; /* of so many calls one fails */
  _Atomic int32_t fail_left;   /* so many more fail; -1: no end */
  _Atomic uint32_t fail_turn;
  _Atomic int32_t hang_left; /* so many more hang; -1: no end */
  _Atomic uint32_t releases; /* grows: what hangs goes on */
  char padding[12];
  _Atomic uint64_t calls;
  _Atomic uint64_t failed;
  _Atomic uint32_t waiting; /* sleep or hang now */
  char more[44];
};
struct control {
  char magic[8];
  uint32_t function_count;
  _Atomic uint32_t active; /* 0: nothing is set */
  _Atomic uint32_t away;
  _Atomic uint32_t manner;
  _Atomic uint32_t vanishings; /* grows with each */
  char padding[100];
  struct commands functions[FUNCTION_COUNT];
};
_Static_assert(sizeof(struct commands) == 128 && sizeof(struct control) == 128 * (1 + FUNCTION_COUNT), "control-file.ts says 128");

static struct control *control;
static const CK_FUNCTION_LIST *real;
static _Atomic uint32_t in_flight; /* calls inside the real module */
static _Atomic uint32_t settled;   /* vanishings whose consequences are over */
static _Atomic bool blind;         /* initialised while the storage was away: there is no token until the next C_Initialize */
static pthread_mutex_t settling = PTHREAD_MUTEX_INITIALIZER;

static void nap(uint64_t us) {
  struct timespec left = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
  while (nanosleep(&left, &left) != 0)
    ;
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* One of the `left` that are still to happen, exactly once over all threads and processes. */
static bool take(_Atomic int32_t *left) {
  int32_t value = atomic_load(left);
  while (value > 0)
    if (atomic_compare_exchange_weak(left, &value, value - 1)) return true;
  return value < 0;
}

static void wait_as_told(struct commands *function) {
  uint32_t latency = atomic_load(&function->latency_us);
  uint32_t releases = atomic_load(&function->releases);
  bool hangs = take(&function->hang_left);
  if (latency == 0 && !hangs) return;
  atomic_fetch_add(&function->waiting, 1);
  /* In slices, so that a long latency can be taken back. */
  for (uint64_t now = now_us(), until = now + latency; now < until && atomic_load(&function->latency_us) == latency; now = now_us())
    nap(until - now < 10000 ? until - now : 10000);
  while (hangs && atomic_load(&function->releases) == releases) nap(500);
  atomic_fetch_sub(&function->waiting, 1);
}

static CK_RV failure_as_told(struct commands *function) {
  if (atomic_load(&function->fail_left) == 0) return CKR_OK;
  uint32_t every = atomic_load(&function->fail_every);
  if (every > 1 && (atomic_fetch_add(&function->fail_turn, 1) + 1) % every != 0) return CKR_OK;
  if (!take(&function->fail_left)) return CKR_OK;
  atomic_fetch_add(&function->failed, 1);
  return atomic_load(&function->fail_code);
}

enum sight { SEEN, SHOWS_NOTHING, GONE, TO_BE_SETTLED };

static enum sight sight_of_token(void) {
  bool away = atomic_load(&control->away);
  if (!away && atomic_load(&control->vanishings) == atomic_load(&settled)) return SEEN;
  if (atomic_load(&blind)) return GONE;
  if (atomic_load(&control->manner) == SILENT) return SHOWS_NOTHING;
  return away ? GONE : TO_BE_SETTLED;
}

/* Removal closes every session of a token (v2.40 §5.6): done when it is back, once nothing is inside the real module, which may not like it. */
static void settle_removal(void) {
  pthread_mutex_lock(&settling);
  uint32_t vanishings = atomic_load(&control->vanishings);
  if (atomic_load(&settled) != vanishings) {
    while (atomic_load(&in_flight) > 0) nap(50);
    CK_SLOT_ID slots[64];
    CK_ULONG count = sizeof slots / sizeof *slots;
    if (real->C_GetSlotList(1, slots, &count) == CKR_OK)
      for (CK_ULONG i = 0; i < count; i++) real->C_CloseAllSessions(slots[i]);
    atomic_store(&settled, vanishings);
  }
  pthread_mutex_unlock(&settling);
}

static bool asks_for_storage(const CK_ATTRIBUTE *template, CK_ULONG count) {
  for (CK_ULONG i = 0; template && i < count; i++)
    if (template[i].type == CKA_TOKEN && template[i].value && template[i].length > 0 && *(const CK_BYTE *)template[i].value) return true;
  return false;
}

/* Whether the call goes on to the real module, to be followed by `leave`. `rv`: what to return instead of what that says, unless CKR_OK. */
static bool enter(int index, enum kind kind, bool stores, CK_RV *rv) {
  struct commands *function = &control->functions[index];
  atomic_fetch_add_explicit(&function->calls, 1, memory_order_relaxed);
  if (atomic_load(&control->active)) wait_as_told(function);
  /* Counted first and then looked: either settle_removal waits for this call, or this call sees that it is to wait. */
  atomic_fetch_add(&in_flight, 1);
  enum sight sight;
  while ((sight = sight_of_token()) == TO_BE_SETTLED) {
    atomic_fetch_sub(&in_flight, 1);
    settle_removal();
    atomic_fetch_add(&in_flight, 1);
  }
  if (sight == GONE && kind == OF_TOKEN) *rv = CKR_TOKEN_NOT_PRESENT;
  else if (sight == GONE && kind != OF_LIBRARY) *rv = CKR_DEVICE_REMOVED;
  else if (sight == SHOWS_NOTHING && stores) *rv = CKR_GENERAL_ERROR;
  else {
    if (atomic_load(&control->active)) *rv = failure_as_told(function);
    if (*rv == CKR_OK || kind == ENDS_OPERATION) return true;
  }
  atomic_fetch_sub(&in_flight, 1);
  return false;
}

static void leave(void) { atomic_fetch_sub(&in_flight, 1); }

#define AS_PASSED_ON(kind, name, parameters, arguments, stores) \
  static CK_RV passed_on_##name parameters { \
    CK_RV instead = CKR_OK; \
    if (!enter(INDEX_##name, kind, stores, &instead)) return instead; \
    CK_RV rv = real->name arguments; \
    leave(); \
    return instead == CKR_OK ? rv : instead; \
  }
CRYPTOKI_FUNCTIONS(AS_PASSED_ON)
#undef AS_PASSED_ON

/* A library that initialises while the storage of its tokens is away has none, also when the storage is back: as SoftHSM. */
static CK_RV initialize(void *arguments) {
  CK_RV rv = passed_on_C_Initialize(arguments);
  if (rv != CKR_OK) return rv;
  uint32_t vanishings = atomic_load(&control->vanishings);
  bool away = atomic_load(&control->away);
  atomic_store(&blind, away && atomic_load(&control->manner) == SILENT);
  if (!away) atomic_store(&settled, vanishings);
  return rv;
}

static CK_RV get_slot_list(CK_BYTE present, CK_SLOT_ID *slots, CK_ULONG *count) {
  CK_RV rv = passed_on_C_GetSlotList(present, slots, count);
  if (rv == CKR_OK && present && sight_of_token() == GONE) *count = 0;
  return rv;
}

static CK_RV find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG maximum, CK_ULONG *count) {
  CK_RV rv = passed_on_C_FindObjects(session, objects, maximum, count);
  if (rv == CKR_OK && sight_of_token() == SHOWS_NOTHING) *count = 0;
  return rv;
}

static bool map_control_file(const char *path) {
  int file = open(path, O_RDWR | O_CLOEXEC);
  struct stat stat;
  if (file < 0 || fstat(file, &stat) != 0 || stat.st_size != sizeof(struct control)) return false;
  void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped == MAP_FAILED) return false;
  control = mapped;
  bool fits = memcmp(control->magic, "FAULTS1", 8) == 0 && control->function_count == FUNCTION_COUNT;
  for (int i = 0; fits && i < FUNCTION_COUNT; i++) fits = strncmp(control->functions[i].name, names[i], sizeof control->functions[i].name) == 0;
  return fits;
}

#define AS_ENTRY(kind, name, parameters, arguments, stores) .name = passed_on_##name,
static CK_FUNCTION_LIST list = {.version = {2, 40}, CRYPTOKI_FUNCTIONS(AS_ENTRY)};
#undef AS_ENTRY

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **result);

static void load(void) {
  const char *path = getenv("FAULT_TOKEN_LIBRARY"), *commands = getenv("FAULT_TOKEN_CONTROL");
  if (!path || !commands) {
    fprintf(stderr, "fault token: set FAULT_TOKEN_LIBRARY and FAULT_TOKEN_CONTROL (FaultToken.start gives both)\n");
    return;
  }
  if (!map_control_file(commands)) {
    fprintf(stderr, "fault token: %s is no control file of this version\n", commands);
    return;
  }
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
  /* POSIX's own way around the missing conversion from data to function pointers. */
  if (library) *(void **)&get = dlsym(library, "C_GetFunctionList");
  CK_FUNCTION_LIST *functions = NULL;
  if (!get || get(&functions) != CKR_OK || !functions) {
    fprintf(stderr, "fault token: no PKCS#11 library at %s: %s\n", path, library ? "no function list" : dlerror());
    return;
  }
  list.C_Initialize = initialize;
  list.C_GetSlotList = get_slot_list;
  list.C_FindObjects = find_objects;
  list.C_GetFunctionList = C_GetFunctionList;
  real = functions;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **result) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!result) return CKR_ARGUMENTS_BAD;
  if (!real) return CKR_GENERAL_ERROR;
  *result = &list;
  return CKR_OK;
}
