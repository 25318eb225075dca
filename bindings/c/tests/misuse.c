/* Misuses the C interface on purpose: each misuse must give a status and an error that names it, never a crash, a hang or a leak.
 * tests/on_c.sh runs it under AddressSanitizer: misuse TABLE.csv */
#define _POSIX_C_SOURCE 200809L
#include <ecgpu.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEADS = 12, CLASSES = 5, SAMPLES = 100, THREADS = 16, MANY = 8000 };
static const char *const NAMES[LEADS] = {"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"};
static int checks;

static void fail(int line, const char *what) {
    fprintf(stderr, "misuse.c:%d: %s: %s\n", line, what, ecgpu_last_error());
    _exit(1);
}

static void expect(int line, ecgpu_status found, ecgpu_status expected, const char *part) {
    __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
    if (found == expected && (found == ECGPU_STATUS_OK || strstr(ecgpu_last_error(), part))) return;
    fprintf(stderr, "misuse.c:%d: status %d in place of %d with '%s': %s\n", line, (int)found, (int)expected, part, ecgpu_last_error());
    _exit(1);
}
#define OK(call) expect(__LINE__, call, ECGPU_STATUS_OK, "")
#define REFUSED(call, status, part) expect(__LINE__, call, ECGPU_STATUS_##status, part)
#define THAT(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static ecgpu_classifier *open_cpu(uint32_t threads) {
    ecgpu_options options = {.device = "cpu", .threads = threads};
    ecgpu_classifier *classifier;
    OK(ecgpu_open(&options, &classifier));
    return classifier;
}

/* One second of 12 leads at 100 Hz, in an array of exactly this length. */
static float *wave(void) {
    float *samples = malloc(sizeof(float) * LEADS * SAMPLES);
    THAT(samples);
    for (int at = 0; at < LEADS * SAMPLES; at++) samples[at] = sinf(0.1f * (float)at);
    return samples;
}

static ecgpu_recordings *record(void) {
    float *samples = wave();
    ecgpu_recordings *recordings;
    OK(ecgpu_recording_new(100.0, "mV", NAMES, LEADS, samples, SAMPLES, &recordings));
    free(samples);
    return recordings;
}

/* No object has any of these handles: closed, of another kind, an address of the program, nonsense, NULL. */
static void every_function_finds_out_a_wrong_handle(void) {
    ecgpu_classifier *classifier = open_cpu(1), *closed = classifier;
    ecgpu_recordings *recordings = record();
    ecgpu_device_list *devices;
    ecgpu_predictions *out;
    size_t count;
    uint32_t label;
    float number = 0.0f;
    OK(ecgpu_devices(&devices));
    OK(ecgpu_close(&classifier));
    classifier = open_cpu(1);
    void *const wrong[] = {closed, devices, &number, (void *)(uintptr_t)-1, (void *)(uintptr_t)1, NULL};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        const char *part = wrong[at] ? "closed, or a handle of something else" : "NULL";
        void *handle = wrong[at];
        REFUSED(ecgpu_classify(handle, recordings, NULL, &out), INVALID_HANDLE, part);
        REFUSED(ecgpu_classify(classifier, handle, NULL, &out), INVALID_HANDLE, part);
        THAT(!out);
        if (handle) REFUSED(ecgpu_classify(classifier, recordings, handle, &out), INVALID_HANDLE, part);
        REFUSED(ecgpu_run(handle, &number, 1, 1, &number, 1, NULL, 0), INVALID_HANDLE, part);
        REFUSED(ecgpu_class_count(handle, &count), INVALID_HANDLE, part);
        REFUSED(ecgpu_lead_count(handle, &count), INVALID_HANDLE, part);
        REFUSED(ecgpu_class(handle, 0, NULL, NULL), INVALID_HANDLE, part);
        REFUSED(ecgpu_network(handle, NULL, NULL, NULL), INVALID_HANDLE, part);
        REFUSED(ecgpu_verify(handle, NULL, NULL, NULL), INVALID_HANDLE, part);
        REFUSED(ecgpu_recordings_count(handle, &count), INVALID_HANDLE, part);
        REFUSED(ecgpu_cancel_set(handle), INVALID_HANDLE, part);
        REFUSED(ecgpu_predictions_count(handle, &count), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction_status(handle, 0), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction(handle, 0, NULL, NULL, NULL), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction_is_label(handle, 0, 0, &label), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction_embedding(handle, 0, NULL, NULL), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction_warning_count(handle, 0, &count), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction_warning(handle, 0, 0, NULL), INVALID_HANDLE, part);
        REFUSED(ecgpu_prediction_device(handle, 0, NULL), INVALID_HANDLE, part);
        if (handle != devices) REFUSED(ecgpu_devices_count(handle, &count), INVALID_HANDLE, part);
        if (handle != devices) REFUSED(ecgpu_device(handle, 0, NULL, NULL, NULL), INVALID_HANDLE, part);
        if (!handle) continue;
        ecgpu_classifier *to_close = handle;
        REFUSED(ecgpu_close(&to_close), INVALID_HANDLE, part);
        THAT(!to_close);
    }
    OK(ecgpu_devices_close(&devices));
    OK(ecgpu_recordings_close(&recordings));
    OK(ecgpu_close(&classifier));
    OK(ecgpu_close(&classifier));
    OK(ecgpu_close(NULL));
}

static void wrong_arguments_are_named(void) {
    ecgpu_classifier *classifier = open_cpu(1), *none;
    ecgpu_recordings *recordings = NULL;
    float *samples = wave(), logits[CLASSES];
    const char *nameless[1] = {NULL}, *const strange[1] = {"V9"};
    REFUSED(ecgpu_open(NULL, NULL), USAGE, "NULL");
    REFUSED(ecgpu_open(&(ecgpu_options){.device = "\xff"}, &none), USAGE, "UTF-8");
    REFUSED(ecgpu_open(&(ecgpu_options){.weights = "no.safetensors"}, &none), FILE, "no.safetensors");
    REFUSED(ecgpu_open(&(ecgpu_options){.weights_length = 9}, &none), USAGE, "weights_bytes is NULL");
    REFUSED(ecgpu_open(&(ecgpu_options){.device = "cpu", .threads = 5000}, &none), USAGE, "5000");
    THAT(!none);
    REFUSED(ecgpu_run(classifier, NULL, 1, SAMPLES, logits, CLASSES, NULL, 0), USAGE, "input is NULL");
    REFUSED(ecgpu_run(classifier, samples, 1, SAMPLES, NULL, 0, NULL, 0), USAGE, "logits is NULL");
    REFUSED(ecgpu_run(classifier, samples, 1, SAMPLES, logits, CLASSES - 1, NULL, 0), SHAPE, "4 numbers for logits");
    REFUSED(ecgpu_run(classifier, samples, 1, SAMPLES, logits, CLASSES, logits, 2), SHAPE, "2 numbers for the embedding");
    REFUSED(ecgpu_run(classifier, samples, 0, SAMPLES, logits, CLASSES, NULL, 0), SHAPE, "shape [0, 12, 100]");
    REFUSED(ecgpu_run(classifier, samples, SIZE_MAX / 8, 2, logits, CLASSES, NULL, 0), USAGE, "batch");
    REFUSED(ecgpu_run(classifier, (float *)((char *)samples + 1), 1, 1, logits, CLASSES, NULL, 0), USAGE, "not aligned");
    samples[3 * SAMPLES + 7] = NAN;
    REFUSED(ecgpu_run(classifier, samples, 1, SAMPLES, logits, CLASSES, NULL, 0), RECORDING, "NaN at record 0, lead 3, sample 7");
    REFUSED(ecgpu_recording_new(100.0, "mV", NAMES, LEADS, samples, SAMPLES, &recordings), RECORDING, "lead aVR has NaN");
    samples[3 * SAMPLES + 7] = INFINITY;
    REFUSED(ecgpu_recording_new(100.0, "mV", NAMES, LEADS, samples, SAMPLES, &recordings), RECORDING, "lead aVR has inf");
    REFUSED(ecgpu_recording_new((double)NAN, "mV", NAMES, 1, samples, 9, &recordings), RECORDING, "NaN Hz");
    REFUSED(ecgpu_recording_new(100.0, NULL, NAMES, 1, samples, 9, &recordings), USAGE, "unit is NULL");
    REFUSED(ecgpu_recording_new(100.0, "mV", nameless, 1, samples, 9, &recordings), USAGE, "name of a lead is NULL");
    REFUSED(ecgpu_recording_new(100.0, "mV", strange, 1, samples, 9, &recordings), USAGE, "V9");
    REFUSED(ecgpu_recording_new(100.0, "mV", NULL, 0, samples, 9, &recordings), RECORDING, "without leads");
    REFUSED(ecgpu_recording_new(100.0, "mV", NAMES, 2, samples, SIZE_MAX, &recordings), USAGE, "too many samples");
    REFUSED(ecgpu_class(classifier, CLASSES, NULL, NULL), USAGE, "class number 5 of 5");
    THAT(!recordings);
    free(samples);
    OK(ecgpu_close(&classifier));
}

/* Cut at every length, in arrays of exactly that length; and a file that is gone when it is read. */
static void damaged_and_missing_files_are_refused(const char *path) {
    ecgpu_recordings *recordings;
    char bytes[4096], gone[] = "/tmp/misuse-XXXXXX";
    size_t refused = 0;
    FILE *file = fopen(path, "rb");
    THAT(file);
    const size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t cut = 0; cut <= length; cut += 7) {
        uint8_t *part = malloc(cut ? cut : 1);
        THAT(part);
        memcpy(part, bytes, cut);
        refused += ecgpu_read_bytes("table.csv", part, cut, NULL, &recordings) != ECGPU_STATUS_OK;
        OK(ecgpu_recordings_close(&recordings));
        free(part);
    }
    THAT(refused > 0 && refused < length / 7);
    const int descriptor = mkstemp(gone);
    THAT(descriptor >= 0 && close(descriptor) == 0 && unlink(gone) == 0);
    REFUSED(ecgpu_read(gone, NULL, &recordings), FILE, gone);
    REFUSED(ecgpu_read(NULL, NULL, &recordings), USAGE, "path is NULL");
    REFUSED(ecgpu_read("/tmp", NULL, &recordings), USAGE, "folder");
    const char *header = "a 1 100 100\na.dat 16 200/mV 12 0 0 0 0 I\n";
    REFUSED(ecgpu_read_bytes("a.hea", (const uint8_t *)header, strlen(header), NULL, &recordings), FILE, "a.dat");
}

static void log_and_call(uint32_t level, const char *message, void *user) {
    size_t count;
    ecgpu_classifier *classifier;
    THAT(level >= 1 && level <= 4 && message);
    REFUSED(ecgpu_open(NULL, &classifier), USAGE, "within a log function");
    REFUSED(ecgpu_class_count(NULL, &count), USAGE, "within a log function");
    REFUSED(ecgpu_set_log(NULL, NULL, 0), USAGE, "within a log function");
    THAT(strcmp(ecgpu_version(), "") != 0);
    ++*(int *)user;
}

static void close_within(const char *name, double nmse, double largest, uint32_t passed, void *user) {
    THAT(name && nmse >= 0.0 && largest >= 0.0 && passed);
    OK(ecgpu_close(user));
}

static void callbacks_that_call_back_get_an_error_or_what_they_ask_for(void) {
    int messages = 0;
    size_t passed = 0;
    OK(ecgpu_set_log(log_and_call, &messages, 4));
    ecgpu_classifier *classifier = open_cpu(1);
    OK(ecgpu_set_log(NULL, NULL, 0));
    THAT(messages > 0);
    OK(ecgpu_verify(classifier, close_within, &classifier, &passed));
    THAT(passed > 0 && !classifier);
}

static void *set_after_a_while(void *cancel) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    OK(ecgpu_cancel_set(cancel));
    return NULL;
}

/* Many records in one array of NumPy, of which the first take longer than the flag waits. */
static void a_call_is_cancelled_by_another_thread(void) {
    char head[128];
    const int text = snprintf(head, sizeof head, "{'descr': '<i2', 'fortran_order': False, 'shape': (%d, 12, 100), }", MANY);
    const size_t length = 128 + (size_t)MANY * LEADS * SAMPLES * 2;
    uint8_t *bytes = malloc(length);
    ecgpu_classifier *classifier = open_cpu(1);
    ecgpu_recordings *recordings;
    ecgpu_predictions *predictions;
    ecgpu_cancel *cancel;
    pthread_t thread;
    THAT(bytes && text > 0);
    memcpy(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
    memset(bytes + 10, ' ', 118);
    memcpy(bytes + 10, head, (size_t)text);
    bytes[127] = '\n';
    for (size_t at = 128; at < length; at += 2) {
        const int16_t sample = (int16_t)(1000.0 * sin(0.05 * (double)at));
        memcpy(bytes + at, &sample, 2);
    }
    OK(ecgpu_read_bytes("many.npy", bytes, length, &(ecgpu_read_options){.sampling_rate = 100.0, .unit = "uV"}, &recordings));
    free(bytes);
    OK(ecgpu_cancel_new(&cancel));
    THAT(pthread_create(&thread, NULL, set_after_a_while, cancel) == 0);
    REFUSED(ecgpu_classify(classifier, recordings, cancel, &predictions), CANCELLED, "cancelled");
    THAT(pthread_join(thread, NULL) == 0 && !predictions);
    OK(ecgpu_cancel_close(&cancel));
    OK(ecgpu_recordings_close(&recordings));
    OK(ecgpu_close(&classifier));
}

struct shared {
    ecgpu_classifier *classifier;
    ecgpu_recordings *recordings;
    int computed;
};

static void *classify_until_closed(void *given) {
    struct shared *shared = given;
    ecgpu_predictions *predictions;
    for (;;) {
        const ecgpu_status status = ecgpu_classify(shared->classifier, shared->recordings, NULL, &predictions);
        if (status == ECGPU_STATUS_INVALID_HANDLE) return NULL;
        OK(status);
        OK(ecgpu_prediction_status(predictions, 0));
        OK(ecgpu_predictions_close(&predictions));
        __atomic_add_fetch(&shared->computed, 1, __ATOMIC_RELAXED);
    }
}

static void what_sixteen_threads_use_may_be_closed(void) {
    struct shared shared = {.classifier = open_cpu(2), .recordings = record()};
    ecgpu_classifier *classifier = shared.classifier;
    pthread_t threads[THREADS];
    for (int at = 0; at < THREADS; at++) THAT(pthread_create(&threads[at], NULL, classify_until_closed, &shared) == 0);
    while (__atomic_load_n(&shared.computed, __ATOMIC_RELAXED) < 10 * THREADS) sched_yield();
    OK(ecgpu_close(&classifier));
    for (int at = 0; at < THREADS; at++) THAT(pthread_join(threads[at], NULL) == 0);
    OK(ecgpu_recordings_close(&shared.recordings));
}

/* Runs a function in a child, which a hang ends after a minute. */
static void in_child(void (*work)(void *), void *given) {
    int status = 0;
    const pid_t child = fork();
    THAT(child >= 0);
    if (child == 0) {
        alarm(60);
        work(given);
        _exit(0);
    }
    THAT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void classify_in_child(void *unused) {
    ecgpu_classifier *classifier = open_cpu(2);
    ecgpu_recordings *recordings = record();
    ecgpu_predictions *predictions;
    (void)unused;
    OK(ecgpu_classify(classifier, recordings, NULL, &predictions));
    OK(ecgpu_prediction_status(predictions, 0));
}

static void be_refused_in_child(void *given) {
    struct shared *shared = given;
    ecgpu_predictions *predictions;
    ecgpu_classifier *classifier;
    const char *part = "forked from one that had called ecgpu";
    REFUSED(ecgpu_classify(shared->classifier, shared->recordings, NULL, &predictions), USAGE, part);
    REFUSED(ecgpu_open(NULL, &classifier), USAGE, part);
    REFUSED(ecgpu_close(&shared->classifier), USAGE, part);
}

static void a_child_of_a_user_is_refused_and_its_parent_goes_on(void) {
    struct shared shared = {.classifier = open_cpu(2), .recordings = record()};
    ecgpu_predictions *predictions;
    in_child(be_refused_in_child, &shared);
    OK(ecgpu_classify(shared.classifier, shared.recordings, NULL, &predictions));
    OK(ecgpu_predictions_close(&predictions));
    OK(ecgpu_recordings_close(&shared.recordings));
    OK(ecgpu_close(&shared.classifier));
}

int main(int count, char **arguments) {
    THAT(count == 2);
    /* A call that hangs ends the program. */
    alarm(300);
    /* Before the first call of the parent. */
    in_child(classify_in_child, NULL);
    every_function_finds_out_a_wrong_handle();
    wrong_arguments_are_named();
    damaged_and_missing_files_are_refused(arguments[1]);
    callbacks_that_call_back_get_an_error_or_what_they_ask_for();
    a_call_is_cancelled_by_another_thread();
    what_sixteen_threads_use_may_be_closed();
    a_child_of_a_user_is_refused_and_its_parent_goes_on();
    printf("%d calls: every misuse was found out\n", checks);
}
