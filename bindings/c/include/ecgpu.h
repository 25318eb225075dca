/*
 * ecgpu: classifies 12-lead ECGs on any GPU. For research only; not a medical device.
 *
 * Every function returns a status, ECGPU_STATUS_OK (0) or why it failed; ecgpu_last_error() then says what happened and what can be
 * done about it. Nothing prints, and nothing ends the program. Text is UTF-8 and ends with a zero.
 *
 * Objects are handles. A handle is no address: a handle of a closed object, or of an object of another kind, is found out and
 * gives ECGPU_STATUS_INVALID_HANDLE. ecgpu_*_close takes the address of a handle, closes the object and sets the handle to NULL; NULL is
 * accepted. An object that is closed while another thread uses it lives until that call ends.
 *
 * Every function may be called from any thread, also several at once with the same handles. Threads and devices do not survive
 * fork(): where the parent had called ecgpu, every call of the child but ecgpu_version and ecgpu_last_error gives
 * ECGPU_STATUS_USAGE. Fork before the first call, or run a program of its own with exec().
 *
 * Licence: Apache-2.0.
 */

#ifndef ECGPU_H
#define ECGPU_H

#include <stddef.h>
#include <stdint.h>

/**
 * Whether a call succeeded, and if not, why.
 */
typedef enum ecgpu_status {
  /**
   * The call succeeded.
   */
  ECGPU_STATUS_OK = 0,
  /**
   * A file could not be read.
   */
  ECGPU_STATUS_FILE = 1,
  /**
   * A recording is damaged, incomplete or not what its header says.
   */
  ECGPU_STATUS_RECORDING = 2,
  /**
   * A weights file is damaged, or its tensors do not fit a known network.
   */
  ECGPU_STATUS_WEIGHTS = 3,
  /**
   * A shape that the network or the device cannot run.
   */
  ECGPU_STATUS_SHAPE = 4,
  /**
   * There is no such device, or the device failed.
   */
  ECGPU_STATUS_DEVICE = 5,
  /**
   * A request that makes no sense: a NULL where an address is needed, a wrong length, an unknown name.
   */
  ECGPU_STATUS_USAGE = 6,
  /**
   * Two backends that must agree do not.
   */
  ECGPU_STATUS_PARITY = 7,
  /**
   * The call was cancelled.
   */
  ECGPU_STATUS_CANCELLED = 8,
  /**
   * A handle that is NULL, closed, or of an object of another kind.
   */
  ECGPU_STATUS_INVALID_HANDLE = 9,
  /**
   * A fault of ecgpu itself. Report it with what ecgpu_last_error says.
   */
  ECGPU_STATUS_INTERNAL = 10,
} ecgpu_status;

/**
 * A flag that stops the calls that it is given to.
 */
typedef struct ecgpu_cancel ecgpu_cancel;

/**
 * A network with its weights on a device.
 */
typedef struct ecgpu_classifier ecgpu_classifier;

/**
 * The devices of the machine.
 */
typedef struct ecgpu_device_list ecgpu_device_list;

/**
 * The results of recordings, in their order.
 */
typedef struct ecgpu_predictions ecgpu_predictions;

/**
 * One or more recordings.
 */
typedef struct ecgpu_recordings ecgpu_recordings;

/**
 * What ecgpu_open opens. Set all to zero first: zeros and NULLs are the defaults.
 */
typedef struct ecgpu_options {
  /**
   * The path of a safetensors file of a published network; NULL for the built-in weights.
   */
  const char *weights;
  /**
   * The bytes of such a file, instead of a path; NULL for none. They are copied.
   */
  const uint8_t *weights_bytes;
  /**
   * The number of these bytes.
   */
  size_t weights_length;
  /**
   * "auto" (a GPU where it is faster, else the CPU), "gpu", "gpu:N", a part of a GPU's name, "cpu" or "reference" (float64);
   * NULL for "auto".
   */
  const char *device;
  /**
   * Threads that compute on the CPU; 0 for one per core.
   */
  uint32_t threads;
  /**
   * 1 to store weights and activations in f16 on a GPU; 0 for f32.
   */
  uint32_t f16;
} ecgpu_options;

/**
 * Is called with each message: its level (1 error, 2 warning, 3 information, 4 debugging) and its text, which is valid during the call.
 * It may be called from any thread, also from several at once. Within it every call but ecgpu_version and ecgpu_last_error gives
 * ECGPU_STATUS_USAGE. It must not longjmp or throw.
 */
typedef void (*ecgpu_log)(uint32_t level, const char *message, void *user);

/**
 * States what a file does not say, or says wrongly. Set all to zero first: zeros and NULLs state nothing.
 */
typedef struct ecgpu_read_options {
  /**
   * The sampling rate in Hz; 0 for that of the file.
   */
  double sampling_rate;
  /**
   * "mV", "uV", "nV" or "V"; NULL for that of the file.
   */
  const char *unit;
  /**
   * The names of the leads in their order; NULL for those of the file.
   */
  const char *const *leads;
  /**
   * The number of these names.
   */
  size_t lead_count;
} ecgpu_read_options;

/**
 * Is called for each stage that was compared: its name, its normalised mean square error, its largest absolute difference, and whether
 * both are within the bounds (1 or 0). The name is valid during the call. It may call every function of ecgpu, but must not longjmp or throw.
 */
typedef void (*ecgpu_stage)(const char *name, double nmse, double largest_difference, uint32_t passed, void *user);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the version of the library, such as "0.1.0". It is valid as long as the library is loaded.
 */
const char *ecgpu_version(void);

/**
 * Makes a flag that is not set.
 */
enum ecgpu_status ecgpu_cancel_new(struct ecgpu_cancel **out);

/**
 * Sets a flag, for good. Calls that it was given to end soon with ECGPU_STATUS_CANCELLED, those that begin later at once.
 */
enum ecgpu_status ecgpu_cancel_set(const struct ecgpu_cancel *cancel);

/**
 * Closes a flag and sets its handle to NULL. Calls that it was given to go on, and cannot be stopped any more.
 */
enum ecgpu_status ecgpu_cancel_close(struct ecgpu_cancel **cancel);

/**
 * Opens a device and puts weights on it. `options` may be NULL.
 */
enum ecgpu_status ecgpu_open(const struct ecgpu_options *options, struct ecgpu_classifier **out);

/**
 * Closes a classifier and sets its handle to NULL.
 */
enum ecgpu_status ecgpu_close(struct ecgpu_classifier **classifier);

/**
 * Classifies recordings. A recording that cannot be classified does not stop the others: ecgpu_prediction_status has its error.
 * `cancel` may be NULL.
 */
enum ecgpu_status ecgpu_classify(const struct ecgpu_classifier *classifier,
                                 const struct ecgpu_recordings *recordings,
                                 const struct ecgpu_cancel *cancel,
                                 struct ecgpu_predictions **out);

/**
 * Runs the network on `input`, `[batch, leads, samples]` in row-major order, the leads as ecgpu_lead_count counts them, in the
 * network's own scale: millivolts at the network's sampling rate without offset, divided by the network's standard deviation. Nothing is resampled or scaled.
 *
 * `logits` gets `[batch, classes]`, `embedding` `[batch, features]`; the lengths are those of the arrays and must be exact.
 * `embedding` may be NULL with a length of 0. On the CPU with one thread nothing is allocated after the first call with a shape.
 */
enum ecgpu_status ecgpu_run(const struct ecgpu_classifier *classifier,
                            const float *input,
                            size_t batch,
                            size_t samples,
                            float *logits,
                            size_t logits_length,
                            float *embedding,
                            size_t embedding_length);

/**
 * Gives the number of classes, which is that of the logits of a record.
 */
enum ecgpu_status ecgpu_class_count(const struct ecgpu_classifier *classifier, size_t *out);

/**
 * Gives the number of leads that the network takes.
 */
enum ecgpu_status ecgpu_lead_count(const struct ecgpu_classifier *classifier, size_t *out);

/**
 * Gives the name of class number `index`, such as "MI", and the probability from which the class is a label. The name is valid
 * until the classifier is closed. Both addresses may be NULL.
 */
enum ecgpu_status ecgpu_class(const struct ecgpu_classifier *classifier,
                              size_t index,
                              const char **name,
                              double *threshold);

/**
 * Gives the name of the network, such as "542k", the sampling rate in Hz that it takes, and the samples per lead that it was trained
 * on. The name is valid until the classifier is closed. Every address may be NULL.
 */
enum ecgpu_status ecgpu_network(const struct ecgpu_classifier *classifier,
                                const char **name,
                                double *sampling_rate,
                                size_t *samples);

/**
 * Lists the devices: every GPU that a driver offers, the CPU, and the float64 reference.
 */
enum ecgpu_status ecgpu_devices(struct ecgpu_device_list **out);

/**
 * Gives the number of devices.
 */
enum ecgpu_status ecgpu_devices_count(const struct ecgpu_device_list *devices, size_t *out);

/**
 * Gives what ecgpu_open calls device number `index` ("gpu:0", "cpu"), its name, and its backend ("vulkan", "cpu"). They are valid until
 * the list is closed. Every address may be NULL.
 */
enum ecgpu_status ecgpu_device(const struct ecgpu_device_list *devices,
                               size_t index,
                               const char **device,
                               const char **name,
                               const char **backend);

/**
 * Closes a list of devices and sets its handle to NULL.
 */
enum ecgpu_status ecgpu_devices_close(struct ecgpu_device_list **devices);

/**
 * Returns what happened in the last call of this thread that failed and what can be done about it, on one line; an empty text if
 * none has failed. It is valid until the next call of this thread that fails.
 */
const char *ecgpu_last_error(void);

/**
 * Sets the function that gets the library's messages up to a level (1 to 4); NULL for none, as at the start. `user` is passed to it. After the
 * return the earlier function is not called any more.
 */
enum ecgpu_status ecgpu_set_log(ecgpu_log function,
                                void *user,
                                uint32_t up_to);

/**
 * Gives the number of predictions, which is that of the recordings.
 */
enum ecgpu_status ecgpu_predictions_count(const struct ecgpu_predictions *predictions, size_t *out);

/**
 * Returns ECGPU_STATUS_OK if recording number `index` was classified, or else why not; ecgpu_last_error() then has the error.
 */
enum ecgpu_status ecgpu_prediction_status(const struct ecgpu_predictions *predictions,
                                          size_t index);

/**
 * Gives the logits, one per class, and the probabilities, in the order of the classes. They are valid until the predictions are
 * closed. Classes do not exclude each other: the probabilities do not add up to 1. Every address may be NULL.
 */
enum ecgpu_status ecgpu_prediction(const struct ecgpu_predictions *predictions,
                                   size_t index,
                                   const float **logits,
                                   const double **probabilities,
                                   size_t *class_count);

/**
 * Gives whether class number `class_index` is a label: whether its probability reaches its threshold (1 or 0).
 */
enum ecgpu_status ecgpu_prediction_is_label(const struct ecgpu_predictions *predictions,
                                            size_t index,
                                            size_t class_index,
                                            uint32_t *out);

/**
 * Gives the embedding, the features before the last layer. It is valid until the predictions are closed. Both addresses may be NULL.
 */
enum ecgpu_status ecgpu_prediction_embedding(const struct ecgpu_predictions *predictions,
                                             size_t index,
                                             const float **embedding,
                                             size_t *length);

/**
 * Gives the number of warnings: what is unusual about the recording.
 */
enum ecgpu_status ecgpu_prediction_warning_count(const struct ecgpu_predictions *predictions,
                                                 size_t index,
                                                 size_t *out);

/**
 * Gives warning number `warning_index`, valid until the predictions are closed.
 */
enum ecgpu_status ecgpu_prediction_warning(const struct ecgpu_predictions *predictions,
                                           size_t index,
                                           size_t warning_index,
                                           const char **out);

/**
 * Gives what computed the prediction, such as "AMD EPYC (cpu)", valid until the predictions are closed.
 */
enum ecgpu_status ecgpu_prediction_device(const struct ecgpu_predictions *predictions, size_t index, const char **out);

/**
 * Closes predictions and sets their handle to NULL.
 */
enum ecgpu_status ecgpu_predictions_close(struct ecgpu_predictions **predictions);

/**
 * Makes a recording of leads in memory.
 *
 * `leads` are the names of the `lead_count` leads, such as "I", "aVR" or "V1"; `samples` is `[leads, samples]` in row-major order, in
 * `unit` ("mV", "uV", "nV" or "V"), at `sampling_rate` Hz. I, II and V1 to V6 are needed; III, aVR, aVL and aVF are derived where they are missing. All is copied.
 */
enum ecgpu_status ecgpu_recording_new(double sampling_rate,
                                      const char *unit,
                                      const char *const *leads,
                                      size_t lead_count,
                                      const float *samples,
                                      size_t samples_per_lead,
                                      struct ecgpu_recordings **out);

/**
 * Reads every recording of a file, in any format that ecgpu knows. `options` may be NULL.
 */
enum ecgpu_status ecgpu_read(const char *path, const struct ecgpu_read_options *options, struct ecgpu_recordings **out);

/**
 * Reads every recording of a file in memory. `name` is the file's name, whose extension tells the format where the content does
 * not. `options` may be NULL.
 */
enum ecgpu_status ecgpu_read_bytes(const char *name,
                                   const uint8_t *bytes,
                                   size_t length,
                                   const struct ecgpu_read_options *options,
                                   struct ecgpu_recordings **out);

/**
 * Gives the number of recordings.
 */
enum ecgpu_status ecgpu_recordings_count(const struct ecgpu_recordings *recordings, size_t *out);

/**
 * Closes recordings and sets their handle to NULL.
 */
enum ecgpu_status ecgpu_recordings_close(struct ecgpu_recordings **recordings);

/**
 * Compares every stage of the network on the classifier's device with plain float64 loops, on the classifier's network and on awkward shapes.
 * It takes a second or two. Returns ECGPU_STATUS_PARITY if a stage differs by more than rounding explains. `stage` may be NULL;
 * `passed_count` gets the number of stages that passed, and may be NULL.
 */
enum ecgpu_status ecgpu_verify(const struct ecgpu_classifier *classifier,
                               ecgpu_stage stage,
                               void *user,
                               size_t *passed_count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ECGPU_H */
