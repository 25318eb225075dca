// A Vulkan layer that makes a driver fail on demand. It passes every call on until `ecgpu_fail` has armed it; then the calls
// of one kind are counted, and after the given number some fail.

#include <stdatomic.h>
#include <stdlib.h>

#include "vulkan_layer.h"

enum { TIMEOUT = 2 };

// The kinds of calls that can be made to fail: those that may report a lost device, those that may find no memory, those
// that compile, and the recording of dispatches, of which one that fails is left out.
enum { RUNNING, ALLOCATING, COMPILING, DISPATCHING, KINDS };

static atomic_int kind;
// How many calls of this kind still succeed, and how many fail then.
static atomic_int remaining, times;
static atomic_int result;
static atomic_int failed;
static atomic_int counts[KINDS];

// Makes `most` calls of the kind `of` fail with `with` after `calls` more have succeeded; none if `most` is 0. Returns how
// many have failed since the last call of this function.
EXPORT int ecgpu_fail(int of, int calls, int most, int with) {
    atomic_store(&times, 0);
    atomic_store(&kind, of);
    atomic_store(&result, with);
    atomic_store(&remaining, calls);
    atomic_store(&times, most);
    return atomic_exchange(&failed, 0);
}

// Returns how many calls of a kind there were.
EXPORT int ecgpu_calls(int of) {
    return atomic_load(&counts[of]);
}

// Decrements a number unless it is 0. Returns whether it was.
static int was_zero(atomic_int *number) {
    int left = atomic_load(number);
    while (left > 0 && !atomic_compare_exchange_weak(number, &left, left - 1)) {
    }
    return left == 0;
}

// Whether this call is to fail. A device that never finishes fails only the calls that wait.
static int fails(int of, uint64_t waits) {
    atomic_fetch_add(&counts[of], 1);
    if (atomic_load(&kind) != of || (atomic_load(&result) == TIMEOUT && !waits)) {
        return 0;
    }
    if (atomic_load(&times) == 0 || !was_zero(&remaining) || was_zero(&times)) {
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
#define FAILING(of, name, waits, parameters, arguments)                                                                  \
    static VoidFunction next_##name;                                                                                     \
    static VkResult layer_##name parameters {                                                                            \
        if (!fails(of, waits)) {                                                                                         \
            return ((VkResult(*) parameters)next_##name)arguments;                                                       \
        }                                                                                                                \
        end_wait(waits);                                                                                                 \
        return atomic_load(&result);                                                                                     \
    }

FAILING(RUNNING, vkQueueSubmit, 0, (void *queue, uint32_t count, const void *submits, uint64_t fence),
        (queue, count, submits, fence))
FAILING(RUNNING, vkQueueWaitIdle, UINT64_MAX, (void *queue), (queue))
FAILING(RUNNING, vkDeviceWaitIdle, UINT64_MAX, (void *device), (device))
FAILING(RUNNING, vkWaitForFences, timeout,
        (void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout),
        (device, count, fences, all, timeout))
FAILING(RUNNING, vkGetFenceStatus, 0, (void *device, uint64_t fence), (device, fence))
FAILING(RUNNING, vkWaitSemaphores, timeout, (void *device, const void *info, uint64_t timeout), (device, info, timeout))
FAILING(RUNNING, vkWaitSemaphoresKHR, timeout, (void *device, const void *info, uint64_t timeout),
        (device, info, timeout))

#define COUNTER(name)                                                                                                    \
    static VoidFunction next_##name;                                                                                     \
    static VkResult layer_##name(void *device, uint64_t semaphore, uint64_t *value) {                                    \
        if (!fails(RUNNING, 1)) {                                                                                        \
            return ((VkResult(*)(void *, uint64_t, uint64_t *))next_##name)(device, semaphore, value);                   \
        }                                                                                                                \
        *value = 0;                                                                                                      \
        return atomic_load(&result) == TIMEOUT ? 0 : atomic_load(&result);                                               \
    }

COUNTER(vkGetSemaphoreCounterValue)
COUNTER(vkGetSemaphoreCounterValueKHR)

#define CREATING(of, name)                                                                                               \
    static VoidFunction next_##name;                                                                                     \
    static VkResult layer_##name(void *device, const void *info, const void *allocator, uint64_t *created) {             \
        if (!fails(of, 0)) {                                                                                             \
            return ((VkResult(*)(void *, const void *, const void *, uint64_t *))next_##name)(device, info, allocator,   \
                                                                                              created);                  \
        }                                                                                                                \
        *created = 0;                                                                                                    \
        return atomic_load(&result);                                                                                     \
    }

CREATING(ALLOCATING, vkAllocateMemory)
CREATING(ALLOCATING, vkCreateBuffer)
CREATING(ALLOCATING, vkCreateImage)
CREATING(ALLOCATING, vkCreateImageView)
CREATING(ALLOCATING, vkCreateDescriptorSetLayout)
CREATING(ALLOCATING, vkCreatePipelineLayout)
CREATING(ALLOCATING, vkCreateDescriptorPool)
CREATING(ALLOCATING, vkCreateCommandPool)
CREATING(ALLOCATING, vkCreateFence)
CREATING(ALLOCATING, vkCreateSemaphore)
CREATING(COMPILING, vkCreateShaderModule)
FAILING(ALLOCATING, vkAllocateDescriptorSets, 0, (void *device, const void *info, void *created),
        (device, info, created))
FAILING(ALLOCATING, vkAllocateCommandBuffers, 0, (void *device, const void *info, void *created),
        (device, info, created))
FAILING(ALLOCATING, vkBeginCommandBuffer, 0, (void *commands, const void *info), (commands, info))
FAILING(ALLOCATING, vkEndCommandBuffer, 0, (void *commands), (commands))
FAILING(ALLOCATING, vkMapMemory, 0,
        (void *device, uint64_t memory, uint64_t offset, uint64_t size, uint32_t flags, void **data),
        (device, memory, offset, size, flags, data))

static VoidFunction next_vkCreateComputePipelines;
static VkResult layer_vkCreateComputePipelines(void *device, uint64_t cache, uint32_t count, const void *infos,
                                               const void *allocator, uint64_t *created) {
    if (!fails(COMPILING, 0)) {
        return ((VkResult(*)(void *, uint64_t, uint32_t, const void *, const void *,
                             uint64_t *))next_vkCreateComputePipelines)(device, cache, count, infos, allocator, created);
    }
    memset(created, 0, count * sizeof *created);
    return atomic_load(&result);
}

static VoidFunction next_vkCmdDispatch;
static void layer_vkCmdDispatch(void *commands, uint32_t x, uint32_t y, uint32_t z) {
    if (!fails(DISPATCHING, 0)) {
        ((void (*)(void *, uint32_t, uint32_t, uint32_t))next_vkCmdDispatch)(commands, x, y, z);
    }
}

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
    ENTRY(vkAllocateMemory)
    ENTRY(vkCreateBuffer)
    ENTRY(vkCreateImage)
    ENTRY(vkCreateImageView)
    ENTRY(vkCreateDescriptorSetLayout)
    ENTRY(vkCreatePipelineLayout)
    ENTRY(vkCreateDescriptorPool)
    ENTRY(vkCreateCommandPool)
    ENTRY(vkCreateFence)
    ENTRY(vkCreateSemaphore)
    ENTRY(vkCreateShaderModule)
    ENTRY(vkAllocateDescriptorSets)
    ENTRY(vkAllocateCommandBuffers)
    ENTRY(vkBeginCommandBuffer)
    ENTRY(vkEndCommandBuffer)
    ENTRY(vkMapMemory)
    ENTRY(vkCreateComputePipelines)
    ENTRY(vkCmdDispatch)
    return driver(device, wanted);
}

typedef struct DriverProperties {
    int32_t type;
    struct DriverProperties *next;
    int32_t id;
    char name[256], info[256];
    uint8_t conformance_version[4];
} DriverProperties;

enum { DRIVER_PROPERTIES = 1000196000 };

static atomic_int conforms = 1;

// Makes the driver claim to conform, or not.
EXPORT void ecgpu_conform(int claims) {
    atomic_store(&conforms, claims);
}

static void (*next_get_properties)(void *, void *);
static void get_properties(void *adapter, DriverProperties *properties) {
    next_get_properties(adapter, properties);
    for (; properties; properties = properties->next) {
        if (properties->type == DRIVER_PROPERTIES && !atomic_load(&conforms)) {
            memset(properties->conformance_version, 0, sizeof properties->conformance_version);
        }
    }
}

static VoidFunction own_instance_function(const char *wanted) {
    int properties = !strcmp(wanted, "vkGetPhysicalDeviceProperties2") ||
                     !strcmp(wanted, "vkGetPhysicalDeviceProperties2KHR");
    if (!properties) {
        return NULL;
    }
    // Asked for once for each instance: later the loader would return this layer's.
    static int of_instance;
    if (of_instance != instances) {
        of_instance = instances;
        next_get_properties = (void *)next_instance_proc_addr(instance, wanted);
    }
    return next_get_properties ? (VoidFunction)get_properties : NULL;
}

static VkResult create_device(void *adapter, const CreateInfo *info, const void *allocator, void **created) {
    Link *link = take_link(info, LOADER_DEVICE_CREATE_INFO);
    next_device_proc_addr = link->get_next_proc_addr;
    VkResult (*create)(void *, const void *, const void *, void **) =
        (void *)link->get_instance_proc_addr(instance, "vkCreateDevice");
    return create(adapter, info, allocator, created);
}
