// Classifies a file and leads in memory through the Kotlin bindings, and prints what tests/on_mobile.sh compares.
import uniffi.ecgpu.*

fun main(arguments: Array<String>) {
    Classifier(device = "cpu").use { classifier ->
        val prediction = classifier.classifyFile(arguments[0]).single()
        println(prediction.probabilities.joinToString(" "))
        try {
            classifier.classifyLeads(listOf(Lead("I", listOf(0f))), 100.0, VoltageUnit.MILLIVOLT)
        } catch (error: EcgpuException.Recording) {
            println("${error.reason}: ${error.remedy}")
        }
    }
}
