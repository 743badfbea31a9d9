// Runs a .tflite file with LiteRT on Android, on the inputs that `quantlab export inputs` wrote. License: MIT-0.
//
// Needs Dump.kt and the package com.google.ai.edge.litert:litert, or org.tensorflow:tensorflow-lite:
//
//     val inputs = Inputs(File(context.getExternalFilesDir(null), "inputs"))
//     runLiteRt(model, inputs, mapOf("device" to Build.MODEL)).write(File(context.getExternalFilesDir(null), "outputs.npz"))

package quantlab.dump

import java.io.File
import java.util.HashMap
import java.util.Locale
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite

/** Runs a .tflite file sample by sample, with one thread, or with the options and delegates that your app uses. */
fun runLiteRt(
    model: File,
    inputs: Inputs,
    environment: Map<String, String> = emptyMap(),
    options: Interpreter.Options = Interpreter.Options().apply { setNumThreads(1) },
): Outputs {
    val outputs = Outputs(inputs, mapOf("litert-android" to TensorFlowLite.runtimeVersion()) + environment)
    val interpreter = Interpreter(model, options)
    try {
        for (input in inputs.inputs) interpreter.resizeInput(input.position, intArrayOf(1, *input.shape))
        interpreter.allocateTensors()
        val ordered = inputs.inputs.sortedBy { it.position }
        for (sample in 0 until inputs.n) {
            val batch = inputs.read(sample, 1)
            val fed = Array<Any>(ordered.size) { batch.buffer(ordered[it].name) }
            interpreter.runForMultipleInputsOutputs(fed, HashMap<Int, Any>())
            outputs.add(batch, inputs.outputs.associate { it.name to valuesOf(interpreter.getOutputTensor(it.position)) })
        }
    } finally {
        interpreter.close()
    }
    return outputs
}

private fun valuesOf(tensor: Tensor): Values {
    val bytes = ByteArray(tensor.numBytes())
    tensor.asReadOnlyBuffer().get(bytes)
    return Values(tensor.dataType().name.lowercase(Locale.ROOT), bytes)
}
