// A Vulkan layer that makes a driver fail on demand. It passes every call on until `ecgpu_fail` has armed it; then the
// calls that may report a lost device are counted, and all after the given number fail.

#include <stdatomic.h>
#include <stdlib.h>

#include "vulkan_layer.h"

enum { TIMEOUT = 2 };

// How many calls still succeed; -1 for all.
static atomic_int remaining = -1;
static atomic_int result;
static atomic_int failed;

// Makes calls fail with `with` after `calls` more have succeeded; -1 for none. Returns how many have failed since the last
// call of this function.
EXPORT int ecgpu_fail(int calls, int with) {
    atomic_store(&result, with);
    atomic_store(&remaining, calls);
    return atomic_exchange(&failed, 0);
}

// Whether this call is to fail. A device that never finishes fails only the calls that wait.
static int fails(uint64_t waits) {
    if (atomic_load(&result) == TIMEOUT && !waits) {
        return 0;
    }
    int left = atomic_load(&remaining);
    if (left > 0) {
        atomic_fetch_sub(&remaining, 1);
    }
    if (left != 0) {
        return 0;
    }
    atomic_fetch_add(&failed, 1);
    return 1;
}

// Ends the process at a wait without a limit on a device that never finishes, so that a test fails and does not hang.
static void end_wait(uint64_t timeout) {
    if (atomic_load(&result) == TIMEOUT && timeout == UINT64_MAX) {
        abort();
    }
}

// The driver's function; one driver serves all devices.
static VoidFunction driver(void *device, const char *name) {
    static void *last_device;
    if (device) {
        last_device = device;
    }
    return next_device_proc_addr(last_device, name);
}

// `waits` is the timeout of a call that waits, else 0.
#define FAILING(name, waits, parameters, arguments)                                                                      \
    static VoidFunction next_##name;                                                                                     \
    static VkResult layer_##name parameters {                                                                            \
        if (!fails(waits)) {                                                                                             \
            return ((VkResult(*) parameters)next_##name)arguments;                                                       \
        }                                                                                                                \
        end_wait(waits);                                                                                                 \
        return atomic_load(&result);                                                                                     \
    }

FAILING(vkQueueSubmit, 0, (void *queue, uint32_t count, const void *submits, uint64_t fence),
        (queue, count, submits, fence))
FAILING(vkQueueWaitIdle, 0, (void *queue), (queue))
FAILING(vkDeviceWaitIdle, 0, (void *device), (device))
FAILING(vkWaitForFences, timeout, (void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout),
        (device, count, fences, all, timeout))
FAILING(vkGetFenceStatus, 0, (void *device, uint64_t fence), (device, fence))
FAILING(vkWaitSemaphores, timeout, (void *device, const void *info, uint64_t timeout), (device, info, timeout))
FAILING(vkWaitSemaphoresKHR, timeout, (void *device, const void *info, uint64_t timeout), (device, info, timeout))

#define COUNTER(name)                                                                                                    \
    static VoidFunction next_##name;                                                                                     \
    static VkResult layer_##name(void *device, uint64_t semaphore, uint64_t *value) {                                    \
        if (!fails(1)) {                                                                                                 \
            return ((VkResult(*)(void *, uint64_t, uint64_t *))next_##name)(device, semaphore, value);                   \
        }                                                                                                                \
        *value = 0;                                                                                                      \
        return atomic_load(&result) == TIMEOUT ? 0 : atomic_load(&result);                                               \
    }

COUNTER(vkGetSemaphoreCounterValue)
COUNTER(vkGetSemaphoreCounterValueKHR)

#define ENTRY(name)                                                                                                      \
    if (!strcmp(wanted, #name)) {                                                                                        \
        next_##name = driver(device, #name);                                                                             \
        return next_##name ? (VoidFunction)layer_##name : NULL;                                                          \
    }

static VoidFunction get_device_proc_addr(void *device, const char *wanted) {
    if (!strcmp(wanted, "vkGetDeviceProcAddr")) {
        return (VoidFunction)get_device_proc_addr;
    }
    ENTRY(vkQueueSubmit)
    ENTRY(vkQueueWaitIdle)
    ENTRY(vkDeviceWaitIdle)
    ENTRY(vkWaitForFences)
    ENTRY(vkGetFenceStatus)
    ENTRY(vkWaitSemaphores)
    ENTRY(vkWaitSemaphoresKHR)
    ENTRY(vkGetSemaphoreCounterValue)
    ENTRY(vkGetSemaphoreCounterValueKHR)
    return driver(device, wanted);
}

static VkResult create_device(void *adapter, const CreateInfo *info, const void *allocator, void **created) {
    Link *link = take_link(info, LOADER_DEVICE_CREATE_INFO);
    next_device_proc_addr = link->get_next_proc_addr;
    VkResult (*create)(void *, const void *, const void *, void **) =
        (void *)link->get_instance_proc_addr(instance, "vkCreateDevice");
    return create(adapter, info, allocator, created);
}
