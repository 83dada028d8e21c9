/* A library with NVML's functions that the worker calls. It answers from the file that FAKE_NVML names, one "key value" a line, read at
 * each call so that a test can change it. A key that is not there is not supported. A GPU's keys begin with its index: "0.power 71500".
 *   count N        GPUs
 *   0.lost 1       GPU 0 fell off the bus
 *   hang 1         readings do not return while it stands there
 *   0.xid ID NUMBER  an error of GPU 0; a new ID is a new event
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, UNSUPPORTED = 3, TIMEOUT = 10, LOST = 15 };

static int text(const char *key, char *value, size_t size) {
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    if (!file) return 0;
    char line[256];
    int found = 0;
    size_t length = strlen(key);
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            snprintf(value, size, "%s", line + length + 1);
            found = 1;
        }
    }
    fclose(file);
    return found;
}

static unsigned index_of(void *device) { return (unsigned)(uintptr_t)device - 1; }

static int text_of(void *device, const char *name, char *value, size_t size) {
    char key[64], lost[8];
    snprintf(key, sizeof key, "%u.lost", index_of(device));
    if (text(key, lost, sizeof lost)) return LOST;
    snprintf(key, sizeof key, "%u.%s", index_of(device), name);
    return text(key, value, size) ? SUCCESS : UNSUPPORTED;
}

static int number_of(void *device, const char *name, unsigned long long *value) {
    char found[64];
    int result = text_of(device, name, found, sizeof found);
    if (result == SUCCESS) *value = strtoull(found, NULL, 10);
    return result;
}

static int small_of(void *device, const char *name, unsigned *value) {
    unsigned long long found;
    int result = number_of(device, name, &found);
    if (result == SUCCESS) *value = (unsigned)found;
    return result;
}

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    return text("driver", version, length) ? SUCCESS : UNSUPPORTED;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    char found[16] = "0";
    text("count", found, sizeof found);
    *count = (unsigned)atoi(found);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(uintptr_t)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) { return text_of(device, "uuid", uuid, length); }
int nvmlDeviceGetName(void *device, char *name, unsigned length) { return text_of(device, "name", name, length); }

struct address { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };

int nvmlDeviceGetPciInfo_v3(void *device, struct address *address) {
    memset(address, 0, sizeof *address);
    return text_of(device, "address", address->bus_id, sizeof address->bus_id);
}

int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    *pending = 0;
    return small_of(device, "mig", current);
}

struct utilization { unsigned gpu, memory; };

int nvmlDeviceGetUtilizationRates(void *device, struct utilization *rates) {
    char hangs[8];
    while (text("hang", hangs, sizeof hangs)) usleep(10000);
    rates->memory = 0;
    return small_of(device, "utilization", &rates->gpu);
}

struct memory { unsigned version; unsigned long long total, reserved, free, used; };

int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory *memory) {
    if (memory->version != (sizeof *memory | (2 << 24))) return INVALID;
    int result = number_of(device, "memory_total", &memory->total);
    return result == SUCCESS ? number_of(device, "memory_free", &memory->free) : result;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees) {
    return sensor == 0 ? small_of(device, "temperature", degrees) : INVALID;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { return small_of(device, "power", milliwatts); }

int nvmlDeviceGetClockInfo(void *device, int clock, unsigned *megahertz) {
    return small_of(device, clock == 1 ? "sm_clock" : clock == 2 ? "memory_clock" : "another_clock", megahertz);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) {
    return number_of(device, "throttle", reasons);
}

int nvmlDeviceGetTotalEccErrors(void *device, int type, int since, unsigned long long *count) {
    return since == 0 ? number_of(device, type == 0 ? "ecc_corrected" : "ecc_uncorrected", count) : INVALID;
}

struct field { unsigned id, scope; long long timestamp, latency; int type, result; union { double real; unsigned whole; } value; };

int nvmlDeviceGetFieldValues(void *device, int count, struct field *fields) {
    char lost[8];
    if (text_of(device, "x", lost, sizeof lost) == LOST) return LOST;
    for (int i = 0; i < count; i++) {
        const char *name = fields[i].id == 144 ? "remap_pending" : fields[i].id == 145 ? "remap_failure" : "another_field";
        fields[i].type = 1;
        fields[i].result = small_of(device, name, &fields[i].value.whole);
    }
    return SUCCESS;
}

/* A set is a list of GPUs with the last event that was delivered of each. */
struct set { int count; void *devices[16]; char last[16][32]; };

/* The id and the number of a GPU's last error. */
static int xid_of(void *device, char *id, unsigned long long *number) {
    char found[64];
    if (text_of(device, "xid", found, sizeof found) != SUCCESS) return 0;
    return sscanf(found, "%31s %llu", id, number) == 2;
}

int nvmlDeviceGetSupportedEventTypes(void *device, unsigned long long *types) {
    return number_of(device, "events", types);
}

int nvmlEventSetCreate(void **set) {
    *set = calloc(1, sizeof(struct set));
    return SUCCESS;
}

int nvmlEventSetFree(void *set) {
    free(set);
    return SUCCESS;
}

int nvmlDeviceRegisterEvents(void *device, unsigned long long types, struct set *set) {
    char refuses[8];
    unsigned long long number;
    if (types != 8 || text_of(device, "refuses_events", refuses, sizeof refuses) == SUCCESS) return UNSUPPORTED;
    set->devices[set->count] = device;
    xid_of(device, set->last[set->count++], &number);
    return SUCCESS;
}

struct event { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; };

int nvmlEventSetWait_v2(struct set *set, struct event *event, unsigned milliseconds) {
    for (unsigned waited = 0; waited <= milliseconds; waited += 10) {
        for (int i = 0; i < set->count; i++) {
            char id[32];
            unsigned long long number;
            if (xid_of(set->devices[i], id, &number) && strcmp(id, set->last[i]) != 0) {
                strcpy(set->last[i], id);
                *event = (struct event){.device = set->devices[i], .type = 8, .data = number};
                return SUCCESS;
            }
        }
        usleep(10000);
    }
    return TIMEOUT;
}
