// Runs a .tflite file with LiteRT on iOS or macOS, on the inputs that `quantlab export inputs` wrote. License: MIT-0.
// No Swift compiler has read this file yet.
//
// Needs Dump.swift and the pod or package TensorFlowLiteSwift. Releases of it whose Tensor.DataType lacks int8 refuse
// models that take or give int8.
//
//     let inputs = try DumpInputs(folder: documents.appendingPathComponent("inputs"))
//     let outputs = try runLiteRt(modelPath: path, inputs: inputs, environment: ["device": UIDevice.current.model])
//     try outputs.write(to: documents.appendingPathComponent("outputs.npz"))

import Foundation
import TensorFlowLite

/// Runs a .tflite file sample by sample, with one thread, or with the delegates that your app uses.
func runLiteRt(
    modelPath: String,
    inputs: DumpInputs,
    environment: [String: String],
    delegates: [Delegate]? = nil
) throws -> DumpOutputs {
    var facts = environment
    facts["litert-ios"] = TensorFlowLite.Runtime.version
    let outputs = DumpOutputs(inputs: inputs, environment: facts)
    var options = Interpreter.Options()
    options.threadCount = 1
    let interpreter = try Interpreter(modelPath: modelPath, options: options, delegates: delegates)
    for input in inputs.inputs {
        var sizes: [Int] = [1]
        for size in input.shape { sizes.append(size ?? 1) }
        try interpreter.resizeInput(at: input.position, to: Tensor.Shape(sizes))
    }
    try interpreter.allocateTensors()
    for sample in 0..<inputs.n {
        let batch = try inputs.read(start: sample, count: 1)
        for input in inputs.inputs {
            try interpreter.copy(try batch.bytes(input.name), toInputAt: input.position)
        }
        try interpreter.invoke()
        var given: [String: DumpValues] = [:]
        for output in inputs.outputs {
            let tensor = try interpreter.output(at: output.position)
            given[output.name] = DumpValues(dtype: output.dtype, data: tensor.data)
        }
        try outputs.add(batch, given)
    }
    return outputs
}
