// What every Vulkan layer needs: its place between the loader and the driver.
//
// The few declarations of Vulkan are written out, because a machine that runs the tests need not have Vulkan's headers.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef int32_t VkResult;
typedef void (*VoidFunction)(void);
typedef VoidFunction (*GetProcAddr)(void *, const char *);

enum { LOADER_INSTANCE_CREATE_INFO = 47, LOADER_DEVICE_CREATE_INFO = 48, LAYER_LINK_INFO = 0 };

// Both have the loader's link as their first extra member; its second member is the next vkGetInstanceProcAddr.
typedef struct Link {
    struct Link *next;
    GetProcAddr get_instance_proc_addr;
    GetProcAddr get_next_proc_addr; // of physical devices, or of devices
} Link;

typedef struct CreateInfo {
    int32_t type;
    struct CreateInfo *next;
    int32_t function;
    Link *link;
} CreateInfo;

typedef struct {
    int32_t type;
    void *next;
    uint32_t version;
    GetProcAddr get_instance_proc_addr, get_device_proc_addr, get_physical_device_proc_addr;
} Negotiation;

static GetProcAddr next_instance_proc_addr, next_device_proc_addr;
static void *instance; // the last
static int instances;

// Finds the loader's link among the extensions of a create info and moves it on to the next layer.
static Link *take_link(const CreateInfo *info, int32_t type) {
    CreateInfo *extension = info->next;
    while (extension && !(extension->type == type && extension->function == LAYER_LINK_INFO)) {
        extension = extension->next;
    }
    Link *link = extension->link;
    extension->link = link->next;
    return link;
}

static VkResult create_instance(const CreateInfo *info, const void *allocator, void **created) {
    Link *link = take_link(info, LOADER_INSTANCE_CREATE_INFO);
    next_instance_proc_addr = link->get_instance_proc_addr;
    VkResult (*create)(const void *, const void *, void **) = (void *)next_instance_proc_addr(NULL, "vkCreateInstance");
    VkResult result = create(info, allocator, created);
    instance = *created;
    instances += 1;
    return result;
}

// Defined by the layer: the functions of instances that it replaces, the functions of devices, and the creation of one.
static VoidFunction own_instance_function(const char *wanted);
static VoidFunction get_device_proc_addr(void *device, const char *wanted);
static VkResult create_device(void *adapter, const CreateInfo *info, const void *allocator, void **created);

static VoidFunction get_instance_proc_addr(void *of, const char *wanted) {
    if (!strcmp(wanted, "vkGetInstanceProcAddr")) {
        return (VoidFunction)get_instance_proc_addr;
    }
    if (!strcmp(wanted, "vkGetDeviceProcAddr")) {
        return (VoidFunction)get_device_proc_addr;
    }
    if (!strcmp(wanted, "vkCreateInstance")) {
        return (VoidFunction)create_instance;
    }
    if (!strcmp(wanted, "vkCreateDevice")) {
        return (VoidFunction)create_device;
    }
    VoidFunction own = own_instance_function(wanted);
    if (own) {
        return own;
    }
    return next_instance_proc_addr ? next_instance_proc_addr(of, wanted) : NULL;
}

EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(Negotiation *negotiation) {
    negotiation->version = 2;
    negotiation->get_instance_proc_addr = get_instance_proc_addr;
    negotiation->get_device_proc_addr = get_device_proc_addr;
    negotiation->get_physical_device_proc_addr = NULL;
    return 0;
}
