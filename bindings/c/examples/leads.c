/* Classifies leads in memory on the CPU: cc leads.c $(pkg-config --cflags --libs ecgpu) -lm && ./a.out */
#include <ecgpu.h>
#include <math.h>
#include <stdio.h>

enum { LEADS = 8, SAMPLES = 5000 };

/* A beat of 0.8 s at 500 Hz, in millivolts, in place of what a device records. */
static void beats(float *samples) {
    for (int at = 0; at < LEADS * SAMPLES; at++) {
        const double time = fmod(at % SAMPLES / 500.0, 0.8), r = (time - 0.3) / 0.012, t = (time - 0.55) / 0.05;
        samples[at] = (float)(exp(-r * r) + 0.25 * exp(-t * t));
    }
}

int main(void) {
    /* III, aVR, aVL and aVF are derived. */
    static const char *const names[LEADS] = {"I", "II", "V1", "V2", "V3", "V4", "V5", "V6"};
    static float samples[LEADS * SAMPLES];
    const ecgpu_options options = {.device = "cpu", .threads = 1};
    ecgpu_classifier *classifier = NULL;
    ecgpu_recordings *recordings = NULL;
    ecgpu_predictions *predictions = NULL;
    const double *probabilities;
    size_t classes = 0;

    beats(samples);
    const int failed = ecgpu_open(&options, &classifier) ||
                       ecgpu_recording_new(500.0, "mV", names, LEADS, samples, SAMPLES, &recordings) ||
                       ecgpu_classify(classifier, recordings, NULL, &predictions) ||
                       ecgpu_prediction(predictions, 0, NULL, &probabilities, &classes);
    if (failed) fprintf(stderr, "%s\n", ecgpu_last_error());
    for (size_t index = 0; !failed && index < classes; index++) {
        const char *name;
        ecgpu_class(classifier, index, &name, NULL);
        printf("%-5s %5.1f %%\n", name, 100.0 * probabilities[index]);
    }
    ecgpu_predictions_close(&predictions);
    ecgpu_recordings_close(&recordings);
    ecgpu_close(&classifier);
    return failed != 0;
}
