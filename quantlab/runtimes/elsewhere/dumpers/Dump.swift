// Runs a model on the inputs that `quantlab export inputs` wrote, and writes outputs.npz for `quantlab import`.
// For iOS and macOS, without dependencies but Foundation; your code calls the runtime. License: MIT-0.
// No Swift compiler has read this file yet.
//
//     let inputs = try DumpInputs(folder: URL(fileURLWithPath: "inputs"))
//     let outputs = DumpOutputs(inputs: inputs, environment: ["app": "1.2.3"])
//     for sample in 0..<inputs.n {
//         let batch = try inputs.read(start: sample, count: 1)
//         let result: [Float] = try myApp(batch.floats("image"))
//         try outputs.add(batch, ["probabilities": DumpValues(result)])
//     }
//     try outputs.write(to: URL(fileURLWithPath: "outputs.npz"))
//
// DumpLiteRt.swift calls LiteRT for you.

import Foundation

struct DumpError: Error, CustomStringConvertible {
    let description: String
}

/// An input or output: its name in the model and in the artifact, its position there, and its data type.
///
/// The shape is that of one sample; sizes that are not known are nil. `file` and `sampleBytes` are those of inputs.
struct DumpPort: Decodable {
    let name: String
    let tensor: String
    let position: Int
    let dtype: String
    let shape: [Int?]
    let file: String?
    let sampleBytes: Int?

    enum CodingKeys: String, CodingKey {
        case name
        case tensor
        case position
        case dtype
        case shape
        case file
        case sampleBytes = "sample_bytes"
    }
}

struct DumpManifest: Decodable {
    let format: String
    let samplesSha256: String
    let n: Int
    let inputs: [DumpPort]
    let outputs: [DumpPort]

    enum CodingKeys: String, CodingKey {
        case format
        case samplesSha256 = "samples_sha256"
        case n
        case inputs
        case outputs
    }
}

/// Consecutive samples: the number of the first one, how many they are, and the bytes of each input.
struct DumpBatch {
    let start: Int
    let count: Int
    let tensors: [String: Data]

    func bytes(_ input: String) throws -> Data {
        guard let data = tensors[input] else { throw DumpError(description: "there is no input '\(input)'") }
        return data
    }

    /// The values of an input of float32.
    func floats(_ input: String) throws -> [Float] {
        let bytes = [UInt8](try self.bytes(input))
        var values: [Float] = []
        var place = 0
        while place + 4 <= bytes.count {
            let bits = dumpInteger(bytes, at: place, size: 4)
            values.append(Float(bitPattern: UInt32(bits)))
            place += 4
        }
        return values
    }
}

/// The samples: `n` of them, and the ports of the model.
final class DumpInputs {
    let manifest: DumpManifest
    private var files: [String: Data] = [:]

    var n: Int { return manifest.n }
    var inputs: [DumpPort] { return manifest.inputs }
    var outputs: [DumpPort] { return manifest.outputs }

    init(folder: URL) throws {
        let text = try Data(contentsOf: folder.appendingPathComponent("inputs.json"))
        manifest = try JSONDecoder().decode(DumpManifest.self, from: text)
        if manifest.format != "quantlab inputs 1" {
            throw DumpError(description: "inputs.json was not written by quantlab export inputs")
        }
        for input in manifest.inputs {
            let name = input.file ?? ""
            let data = try Data(contentsOf: folder.appendingPathComponent(name), options: .mappedIfSafe)
            if data.count != manifest.n * (input.sampleBytes ?? 0) {
                throw DumpError(description: "\(name) has another size than inputs.json says")
            }
            files[input.name] = data
        }
    }

    /// `count` samples from number `start` on.
    func read(start: Int, count: Int) throws -> DumpBatch {
        if start < 0 || count < 1 || start + count > n { throw DumpError(description: "there are \(n) samples") }
        var tensors: [String: Data] = [:]
        for input in inputs {
            let size = input.sampleBytes ?? 0
            let data = files[input.name] ?? Data()
            let first = start * size
            let last = first + count * size
            tensors[input.name] = data.subdata(in: first..<last)
        }
        return DumpBatch(start: start, count: count, tensors: tensors)
    }
}

/// Values of an output: their little-endian bytes, and NumPy's name of their data type, for example `uint8`.
struct DumpValues {
    let dtype: String
    let data: Data

    init(dtype: String, data: Data) {
        self.dtype = dtype
        self.data = data
    }

    init(_ values: [Float]) {
        var bytes: [UInt8] = []
        for value in values { dumpAppend(&bytes, UInt64(value.bitPattern), size: 4) }
        self.init(dtype: "float32", data: Data(bytes))
    }

    init(_ values: [Double]) {
        var bytes: [UInt8] = []
        for value in values { dumpAppend(&bytes, value.bitPattern, size: 8) }
        self.init(dtype: "float64", data: Data(bytes))
    }

    init(_ values: [Int8]) {
        var bytes: [UInt8] = []
        for value in values { bytes.append(UInt8(bitPattern: value)) }
        self.init(dtype: "int8", data: Data(bytes))
    }

    init(_ values: [UInt8]) {
        self.init(dtype: "uint8", data: Data(values))
    }

    init(_ values: [Int32]) {
        var bytes: [UInt8] = []
        for value in values { dumpAppend(&bytes, UInt64(UInt32(bitPattern: value)), size: 4) }
        self.init(dtype: "int32", data: Data(bytes))
    }

    init(_ values: [Int64]) {
        var bytes: [UInt8] = []
        for value in values { dumpAppend(&bytes, UInt64(bitPattern: value), size: 8) }
        self.init(dtype: "int64", data: Data(bytes))
    }
}

/// Collects outputs, and the checksum of each sample that was fed.
final class DumpOutputs {
    private let inputs: DumpInputs
    private let environment: [String: String]
    private var checksums: [UInt32] = []
    private var names: [String] = []
    private var types: [String: String] = [:]
    private var rows: [String: Data] = [:]
    private var samples: [String: Int] = [:]

    /// `environment` has facts about the program, for example versions and device.
    init(inputs: DumpInputs, environment: [String: String]) {
        self.inputs = inputs
        self.environment = environment
    }

    /// Adds the outputs of a batch, by output: all values of its samples in a row.
    func add(_ batch: DumpBatch, _ outputs: [String: DumpValues]) throws {
        if batch.start != checksums.count {
            throw DumpError(description: "the next sample is \(checksums.count), and \(batch.start) was added")
        }
        for (name, values) in outputs { try addRows(name, values, batch.count) }
        for sample in 0..<batch.count {
            var checksum: UInt32 = 0
            for input in inputs.inputs {
                let size = input.sampleBytes ?? 0
                let data = try batch.bytes(input.name)
                let first = sample * size
                let bytes = [UInt8](data.subdata(in: first..<(first + size)))
                checksum = dumpCrc32(bytes, before: checksum)
            }
            checksums.append(checksum)
        }
    }

    private func addRows(_ name: String, _ values: DumpValues, _ count: Int) throws {
        let (_, size) = try dumpDescr(values.dtype)
        if rows[name] == nil {
            names.append(name)
            types[name] = values.dtype
            rows[name] = Data()
            samples[name] = 0
        }
        if types[name] != values.dtype {
            throw DumpError(description: "the output '\(name)' changed its data type")
        }
        let number = values.data.count / size
        if number % count != 0 {
            throw DumpError(description: "\(number) values of '\(name)' for \(count) samples")
        }
        rows[name]?.append(values.data)
        samples[name] = (samples[name] ?? 0) + count
    }

    /// Writes outputs.npz.
    func write(to url: URL) throws {
        let n = inputs.n
        if checksums.count != n {
            throw DumpError(description: "outputs of \(checksums.count) of \(n) samples were added")
        }
        var zip = DumpZip()
        let sha256 = Data(inputs.manifest.samplesSha256.utf8)
        try zip.add("__samples_sha256__", try dumpNpy("uint8", sha256, [sha256.count]))
        var sums: [UInt8] = []
        for checksum in checksums { dumpAppend(&sums, UInt64(checksum), size: 4) }
        try zip.add("__crc32__", try dumpNpy("uint32", Data(sums), [n]))
        let facts = try JSONSerialization.data(withJSONObject: environment, options: [])
        try zip.add("__environment__", try dumpNpy("uint8", facts, [facts.count]))
        for name in names {
            let data = rows[name] ?? Data()
            let dtype = types[name] ?? ""
            try zip.add(name, try dumpNpy(dtype, data, try shape(name, dtype, data.count)))
        }
        try zip.finished().write(to: url)
    }

    /// The shape that the model says, if it fits; else all values of a sample in a row.
    private func shape(_ name: String, _ dtype: String, _ bytes: Int) throws -> [Int] {
        let (_, size) = try dumpDescr(dtype)
        let n = inputs.n
        let number = bytes / size
        if samples[name] != n || (n > 0 && number % n != 0) {
            throw DumpError(description: "the output '\(name)' was not added for each sample, or has other sizes in some")
        }
        let each = n > 0 ? number / n : 0
        for output in inputs.outputs where output.name == name {
            var known: [Int] = [n]
            var product = 1
            for size in output.shape {
                known.append(size ?? 0)
                product *= size ?? 0
            }
            if product == each && !output.shape.contains(where: { $0 == nil }) { return known }
        }
        return [n, each]
    }
}

/// A zip file without compression.
struct DumpZip {
    private var local = Data()
    private var central = Data()
    private var count: UInt64 = 0

    mutating func add(_ name: String, _ data: Data) throws {
        let path = [UInt8]((name + ".npy").utf8)
        let size = UInt64(data.count)
        if UInt64(local.count) + UInt64(central.count) + size + 65536 >= UInt64(UInt32.max) {
            throw DumpError(description: "outputs of 4 GB do not fit into one file; run fewer samples")
        }
        // Version 2.0, names in UTF-8, stored, 1 January 1980, checksum, sizes, length of the name, no extra fields.
        var about: [UInt8] = []
        dumpAppend(&about, 20, size: 2)
        dumpAppend(&about, 0x800, size: 2)
        dumpAppend(&about, 0, size: 2)
        dumpAppend(&about, 0, size: 2)
        dumpAppend(&about, 0x21, size: 2)
        dumpAppend(&about, UInt64(dumpCrc32([UInt8](data), before: 0)), size: 4)
        dumpAppend(&about, size, size: 4)
        dumpAppend(&about, size, size: 4)
        dumpAppend(&about, UInt64(path.count), size: 2)
        dumpAppend(&about, 0, size: 2)

        var entry: [UInt8] = []
        dumpAppend(&entry, 0x0201_4b50, size: 4)
        dumpAppend(&entry, 20, size: 2)
        entry.append(contentsOf: about)
        dumpAppend(&entry, 0, size: 2)
        dumpAppend(&entry, 0, size: 2)
        dumpAppend(&entry, 0, size: 2)
        dumpAppend(&entry, 0, size: 4)
        dumpAppend(&entry, UInt64(local.count), size: 4)
        entry.append(contentsOf: path)
        central.append(Data(entry))

        var head: [UInt8] = []
        dumpAppend(&head, 0x0403_4b50, size: 4)
        head.append(contentsOf: about)
        head.append(contentsOf: path)
        local.append(Data(head))
        local.append(data)
        count += 1
    }

    func finished() -> Data {
        var end: [UInt8] = []
        dumpAppend(&end, 0x0605_4b50, size: 4)
        dumpAppend(&end, 0, size: 2)
        dumpAppend(&end, 0, size: 2)
        dumpAppend(&end, count, size: 2)
        dumpAppend(&end, count, size: 2)
        dumpAppend(&end, UInt64(central.count), size: 4)
        dumpAppend(&end, UInt64(local.count), size: 4)
        dumpAppend(&end, 0, size: 2)
        var whole = local
        whole.append(central)
        whole.append(Data(end))
        return whole
    }
}

/// A .npy file of version 1: a magic word, a header that is padded to 64 bytes, and the values.
func dumpNpy(_ dtype: String, _ data: Data, _ shape: [Int]) throws -> Data {
    let (descr, _) = try dumpDescr(dtype)
    var sizes = ""
    for size in shape { sizes += "\(size)," }
    var header = [UInt8]("{'descr': '\(descr)', 'fortran_order': False, 'shape': (\(sizes)), }".utf8)
    while (10 + header.count + 1) % 64 != 0 { header.append(0x20) }
    header.append(0x0a)
    var head: [UInt8] = [0x93]
    head.append(contentsOf: [UInt8]("NUMPY".utf8))
    head.append(1)
    head.append(0)
    dumpAppend(&head, UInt64(header.count), size: 2)
    head.append(contentsOf: header)
    var whole = Data(head)
    whole.append(data)
    return whole
}

/// NumPy's description of a data type, and the bytes of a value.
func dumpDescr(_ dtype: String) throws -> (String, Int) {
    switch dtype {
    case "float32": return ("<f4", 4)
    case "float64": return ("<f8", 8)
    case "int8": return ("|i1", 1)
    case "uint8": return ("|u1", 1)
    case "bool": return ("|b1", 1)
    case "int16": return ("<i2", 2)
    case "uint16": return ("<u2", 2)
    case "int32": return ("<i4", 4)
    case "uint32": return ("<u4", 4)
    case "int64": return ("<i8", 8)
    case "uint64": return ("<u8", 8)
    default: throw DumpError(description: "values of the type '\(dtype)' cannot be written")
    }
}

/// A little-endian integer of `size` bytes.
func dumpInteger(_ bytes: [UInt8], at place: Int, size: Int) -> UInt64 {
    var value: UInt64 = 0
    for byte in 0..<size {
        let shift = UInt64(8 * byte)
        value |= UInt64(bytes[place + byte]) << shift
    }
    return value
}

/// Appends a little-endian integer of `size` bytes.
func dumpAppend(_ bytes: inout [UInt8], _ value: UInt64, size: Int) {
    for byte in 0..<size {
        let shift = UInt64(8 * byte)
        bytes.append(UInt8((value >> shift) & 0xff))
    }
}

private let dumpTable: [UInt32] = {
    var table: [UInt32] = []
    for byte in 0..<256 {
        var value = UInt32(byte)
        for _ in 0..<8 {
            if value & 1 == 1 {
                value = (value >> 1) ^ 0xedb8_8320
            } else {
                value = value >> 1
            }
        }
        table.append(value)
    }
    return table
}()

/// CRC-32 of bytes as in zlib, continued from that of the bytes before.
func dumpCrc32(_ bytes: [UInt8], before: UInt32) -> UInt32 {
    var value = ~before
    for byte in bytes {
        let place = Int((value ^ UInt32(byte)) & 0xff)
        value = (value >> 8) ^ dumpTable[place]
    }
    return ~value
}
