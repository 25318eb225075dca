// A Vulkan layer that asks the driver about each compute pipeline that it compiles: registers, spills, occupancy. The program
// names the shader before its pipeline is made, on the same thread, and takes the text of all pipelines so far: lines of
// the shader's name and, after tabs, `statistic=value`.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "vulkan_layer.h"

enum {
    EXECUTABLE_FEATURES = 1000269000,
    PIPELINE_INFO,
    EXECUTABLE_PROPERTIES,
    EXECUTABLE_INFO,
    EXECUTABLE_STATISTIC,
    CAPTURE_STATISTICS = 0x40,
    MOST = 64,
};

typedef struct {
    int32_t type;
    const void *next;
    uint32_t flags, queue_count;
    const void *queues;
    uint32_t layer_count;
    const char *const *layers;
    uint32_t extension_count;
    const char *const *extensions;
    const void *features;
} DeviceInfo;

typedef struct {
    int32_t type;
    const void *next;
    uint32_t enabled;
} Features;

typedef struct {
    int32_t type;
    const void *next;
    uint32_t flags;
    char rest[72];
} ComputePipelineInfo;

typedef struct {
    int32_t type;
    const void *next;
    uint64_t pipeline;
    uint32_t index;
} PipelineInfo;

typedef struct {
    int32_t type;
    void *next;
    uint32_t stages;
    char name[256], description[256];
    uint32_t subgroup_size;
} Properties;

typedef struct {
    int32_t type;
    void *next;
    char name[256], description[256];
    int32_t format; // bool, i64, u64, f64
    union {
        uint32_t boolean;
        int64_t number;
        double real;
    } value;
} Statistic;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char text[1 << 20], taken[1 << 20];
static size_t length;
static __thread char shader[256];

// Names the shader of the next pipeline of this thread.
EXPORT void ecgpu_name_shader(const char *name) {
    snprintf(shader, sizeof shader, "%s", name);
}

// Returns the text since the last call. It is valid until the next call.
EXPORT const char *ecgpu_take_statistics(void) {
    pthread_mutex_lock(&lock);
    memcpy(taken, text, length);
    taken[length] = 0;
    length = 0;
    pthread_mutex_unlock(&lock);
    return taken;
}

static void append(const char *format, const char *name, double value) {
    if (length + 600 < sizeof text) {
        length += snprintf(text + length, 600, format, name, value);
    }
}

static void describe(void *device, uint64_t pipeline) {
    VkResult (*properties_of)(void *, const void *, uint32_t *, Properties *) =
        (void *)next_device_proc_addr(device, "vkGetPipelineExecutablePropertiesKHR");
    VkResult (*statistics_of)(void *, const void *, uint32_t *, Statistic *) =
        (void *)next_device_proc_addr(device, "vkGetPipelineExecutableStatisticsKHR");
    PipelineInfo info = {PIPELINE_INFO, NULL, pipeline, 0};
    static Properties properties[MOST];
    static Statistic statistics[MOST];
    for (int at = 0; at < MOST; at++) {
        properties[at].type = EXECUTABLE_PROPERTIES;
        statistics[at].type = EXECUTABLE_STATISTIC;
    }
    uint32_t executables = MOST;
    properties_of(device, &info, &executables, properties);
    for (uint32_t index = 0; index < executables; index++) {
        PipelineInfo info = {EXECUTABLE_INFO, NULL, pipeline, index};
        uint32_t count = MOST;
        statistics_of(device, &info, &count, statistics);
        append("%s", shader, 0);
        append("\t%s=%.0f", "Subgroup size", properties[index].subgroup_size);
        for (uint32_t at = 0; at < count; at++) {
            Statistic *it = &statistics[at];
            double value = it->format == 3 ? it->value.real : it->format == 0 ? it->value.boolean : it->value.number;
            append("\t%s=%.6g", it->name, value);
        }
        append("%s", "\n", 0);
    }
}

static VoidFunction next_create_pipelines;

static VkResult create_pipelines(void *device, uint64_t cache, uint32_t count, const ComputePipelineInfo *infos,
                                 const void *allocator, uint64_t *pipelines) {
    VkResult (*create)(void *, uint64_t, uint32_t, const void *, const void *, uint64_t *) =
        (void *)next_create_pipelines;
    for (uint32_t at = 0; at < count; at++) {
        ComputePipelineInfo info = infos[at];
        info.flags |= CAPTURE_STATISTICS;
        VkResult result = create(device, cache, 1, &info, allocator, &pipelines[at]);
        if (result) {
            return result;
        }
        // wgpu has shaders of its own, which have no name.
        if (shader[0]) {
            pthread_mutex_lock(&lock);
            describe(device, pipelines[at]);
            pthread_mutex_unlock(&lock);
        }
        shader[0] = 0;
    }
    return 0;
}

static VoidFunction get_device_proc_addr(void *device, const char *wanted) {
    if (!strcmp(wanted, "vkGetDeviceProcAddr")) {
        return (VoidFunction)get_device_proc_addr;
    }
    VoidFunction function = next_device_proc_addr(device, wanted);
    if (!strcmp(wanted, "vkCreateComputePipelines")) {
        next_create_pipelines = function;
        return (VoidFunction)create_pipelines;
    }
    return function;
}

static VoidFunction own_instance_function(const char *wanted) {
    (void)wanted;
    return NULL;
}

static VkResult create_device(void *adapter, const CreateInfo *info, const void *allocator, void **created) {
    Link *link = take_link(info, LOADER_DEVICE_CREATE_INFO);
    next_device_proc_addr = link->get_next_proc_addr;
    VkResult (*create)(void *, const void *, const void *, void **) =
        (void *)link->get_instance_proc_addr(instance, "vkCreateDevice");
    DeviceInfo with = *(const DeviceInfo *)info;
    const char *extensions[256];
    memcpy(extensions, with.extensions, with.extension_count * sizeof *extensions);
    extensions[with.extension_count++] = "VK_KHR_pipeline_executable_properties";
    Features features = {EXECUTABLE_FEATURES, with.next, 1};
    with.next = &features;
    with.extensions = extensions;
    return create(adapter, &with, allocator, created);
}
