// Runs batches in the network's own scale into memory of its own: c++ batch.cpp $(pkg-config --cflags --libs ecgpu)
#include <ecgpu.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

void check(ecgpu_status status) {
    if (status != ECGPU_STATUS_OK) throw std::runtime_error(ecgpu_last_error());
}

struct Close {
    void operator()(ecgpu_classifier *classifier) const { ecgpu_close(&classifier); }
};

std::unique_ptr<ecgpu_classifier, Close> open(const char *device) {
    ecgpu_options options{};
    options.device = device;
    options.threads = 1;
    ecgpu_classifier *classifier = nullptr;
    check(ecgpu_open(&options, &classifier));
    return std::unique_ptr<ecgpu_classifier, Close>(classifier);
}

}  // namespace

int main() {
    try {
        const auto classifier = open("cpu");
        const std::size_t batch = 4, samples = 1000;
        std::size_t leads = 0, classes = 0;
        check(ecgpu_lead_count(classifier.get(), &leads));
        check(ecgpu_class_count(classifier.get(), &classes));

        std::vector<float> input(batch * leads * samples), logits(batch * classes);
        for (std::size_t at = 0; at < input.size(); ++at) input[at] = std::sin(0.05f * static_cast<float>(at));
        for (int run = 0; run < 3; ++run) {
            check(ecgpu_run(classifier.get(), input.data(), batch, samples, logits.data(), logits.size(), nullptr, 0));
        }
        for (std::size_t record = 0; record < batch; ++record) {
            for (std::size_t index = 0; index < classes; ++index) std::printf("%9.4f", logits[record * classes + index]);
            std::printf("\n");
        }
        check(ecgpu_verify(classifier.get(), nullptr, nullptr, nullptr));
        std::printf("every stage agrees with the float64 reference\n");
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
