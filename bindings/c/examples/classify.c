/* Classifies the recordings of a file: cc classify.c $(pkg-config --cflags --libs ecgpu) && ./a.out record.hea */
#include <ecgpu.h>
#include <stdio.h>

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, ecgpu_last_error());
    return 1;
}

int main(int count, char **arguments) {
    ecgpu_classifier *classifier = NULL;
    ecgpu_recordings *recordings = NULL;
    ecgpu_predictions *predictions = NULL;
    size_t records = 0, classes = 0, warnings = 0;
    int status = 0;

    if (count != 2) {
        fprintf(stderr, "usage: %s FILE\n", arguments[0]);
        return 2;
    }
    if (ecgpu_open(NULL, &classifier)) return failed("opening");
    if (ecgpu_read(arguments[1], NULL, &recordings)) status = failed("reading");
    else if (ecgpu_classify(classifier, recordings, NULL, &predictions)) status = failed("classifying");

    ecgpu_predictions_count(predictions, &records);
    for (size_t record = 0; predictions && record < records; record++) {
        const double *probabilities;
        if (ecgpu_prediction(predictions, record, NULL, &probabilities, &classes)) {
            status = failed("classifying");
            continue;
        }
        for (size_t index = 0; index < classes; index++) {
            const char *name;
            uint32_t label;
            ecgpu_class(classifier, index, &name, NULL);
            ecgpu_prediction_is_label(predictions, record, index, &label);
            printf("%-5s %5.1f %%%s\n", name, 100.0 * probabilities[index], label ? " *" : "");
        }
        ecgpu_prediction_warning_count(predictions, record, &warnings);
        for (size_t index = 0; index < warnings; index++) {
            const char *warning;
            ecgpu_prediction_warning(predictions, record, index, &warning);
            printf("warning: %s\n", warning);
        }
    }
    ecgpu_predictions_close(&predictions);
    ecgpu_recordings_close(&recordings);
    ecgpu_close(&classifier);
    return status;
}
