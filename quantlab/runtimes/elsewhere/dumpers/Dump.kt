// Runs a model on the inputs that `quantlab export inputs` wrote, and writes outputs.npz for `quantlab import`.
// For Android or any Java virtual machine, without dependencies; your code calls the runtime. License: MIT-0.
//
//     val inputs = Inputs(File("inputs"))                          // the folder
//     val outputs = Outputs(inputs, mapOf("app" to "1.2.3"))
//     for (sample in 0 until inputs.n) {
//         val batch = inputs.read(sample, 1)
//         outputs.add(batch, mapOf("probabilities" to myApp(batch.floats("image"))))
//     }
//     outputs.write(File("outputs.npz"))
//
// DumpLiteRt.kt calls LiteRT for you.

package quantlab.dump

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/**
 * An input or output: its name in the model and in the artifact, its position there, and its data type.
 *
 * The shape is that of one sample; sizes that are not known are -1. `file` and `sampleBytes` are those of inputs.
 */
class Port(
    val name: String,
    val tensor: String,
    val position: Int,
    val dtype: String,
    val shape: IntArray,
    val file: String,
    val sampleBytes: Int,
)

/** Consecutive samples: the number of the first one, how many they are, and the bytes of each input. */
class Batch(val start: Int, val count: Int, val tensors: Map<String, ByteArray>) {
    fun bytes(input: String): ByteArray =
        tensors[input] ?: throw IllegalArgumentException("there is no input '$input'")

    /** A direct buffer, as LiteRT takes it. */
    fun buffer(input: String): ByteBuffer {
        val bytes = bytes(input)
        val buffer = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.LITTLE_ENDIAN)
        buffer.put(bytes)
        buffer.rewind()
        return buffer
    }

    fun floats(input: String): FloatArray {
        val values = ByteBuffer.wrap(bytes(input)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(values.remaining()) { values.get(it) }
    }

    fun integers(input: String): IntArray {
        val values = ByteBuffer.wrap(bytes(input)).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer()
        return IntArray(values.remaining()) { values.get(it) }
    }
}

/** The samples: `n` of them, and the ports of the model. */
class Inputs(private val folder: File) {
    var n = 0
        private set
    var samplesSha256 = ""
        private set
    val inputs = ArrayList<Port>()
    val outputs = ArrayList<Port>()

    init {
        val lines = File(folder, "inputs.txt").readLines(Charsets.US_ASCII)
        if (lines.firstOrNull() != "quantlab inputs 1") {
            throw IOException("$folder/inputs.txt was not written by quantlab export inputs")
        }
        for (line in lines) {
            val fields = line.split('\t')
            when (fields[0]) {
                "samples" -> samplesSha256 = fields[1]
                "n" -> n = fields[1].toInt()
                "input" -> inputs.add(port(fields, fields[6], fields[7].toInt()))
                "output" -> outputs.add(port(fields, "", 0))
            }
        }
    }

    /** `count` samples from number `start` on. */
    fun read(start: Int, count: Int): Batch {
        if (start < 0 || count < 1 || count > n - start) throw IllegalArgumentException("there are $n samples")
        val tensors = HashMap<String, ByteArray>()
        for (input in inputs) {
            val bytes = ByteArray(count * input.sampleBytes)
            val file = RandomAccessFile(File(folder, input.file), "r")
            try {
                file.seek(start.toLong() * input.sampleBytes)
                file.readFully(bytes)
            } finally {
                file.close()
            }
            tensors[input.name] = bytes
        }
        return Batch(start, count, tensors)
    }

    private fun port(fields: List<String>, file: String, sampleBytes: Int): Port {
        val shape = if (fields[5].isEmpty()) IntArray(0) else fields[5].split(',').map { it.toInt() }.toIntArray()
        return Port(decoded(fields[1]), decoded(fields[2]), fields[3].toInt(), fields[4], shape, file, sampleBytes)
    }

    /** A name from its percent-encoding, which `inputs.txt` has. */
    private fun decoded(text: String): String {
        val bytes = ByteArrayOutputStream()
        var place = 0
        while (place < text.length) {
            if (text[place] == '%') {
                bytes.write(text.substring(place + 1, place + 3).toInt(16))
                place += 3
            } else {
                bytes.write(text[place].code)
                place += 1
            }
        }
        return String(bytes.toByteArray(), Charsets.UTF_8)
    }
}

/** Values of an output: their little-endian bytes, and NumPy's name of their data type, for example `uint8`. */
class Values(val dtype: String, val bytes: ByteArray)

/**
 * Collects outputs, and the checksum of each sample that was fed.
 *
 * `environment` has facts about the program, for example versions and device.
 */
class Outputs(private val inputs: Inputs, private val environment: Map<String, String> = emptyMap()) {
    private class Rows(val dtype: String) {
        val bytes = ByteArrayOutputStream()
        var samples = 0
    }

    private val checksums = ArrayList<Int>()
    private val rows = LinkedHashMap<String, Rows>()

    /**
     * Adds the outputs of a batch, by output: all values of its samples in a row.
     *
     * They are `Values` or an array: float32 in a FloatArray, int8 in a ByteArray, int32 in an IntArray, and so on.
     */
    fun add(batch: Batch, outputs: Map<String, Any>) {
        if (batch.start != checksums.size) {
            throw IllegalArgumentException("the next sample is ${checksums.size}, and ${batch.start} was added")
        }
        for ((name, given) in outputs) {
            val values = if (given is Values) given else valuesOf(given)
            val row = rows.getOrPut(name) { Rows(values.dtype) }
            if (row.dtype != values.dtype) throw IllegalArgumentException("the output '$name' changed its data type")
            val count = values.bytes.size / sizeOf(values.dtype)
            if (count % batch.count != 0) {
                throw IllegalArgumentException("$count values of '$name' for ${batch.count} samples")
            }
            row.bytes.write(values.bytes, 0, values.bytes.size)
            row.samples += batch.count
        }
        for (sample in 0 until batch.count) {
            val checksum = CRC32()
            for (input in inputs.inputs) {
                checksum.update(batch.bytes(input.name), sample * input.sampleBytes, input.sampleBytes)
            }
            checksums.add(checksum.value.toInt())
        }
    }

    /** Writes outputs.npz. */
    fun write(file: File) {
        if (checksums.size != inputs.n) {
            throw IllegalStateException("outputs of ${checksums.size} of ${inputs.n} samples were added")
        }
        val shapes = rows.mapValues { (name, row) -> shapeOf(name, row) }
        val zip = ZipOutputStream(file.outputStream().buffered())
        try {
            add(zip, "__samples_sha256__", "uint8", inputs.samplesSha256.toByteArray())
            add(zip, "__crc32__", "uint32", valuesOf(checksums.toIntArray()).bytes)
            add(zip, "__environment__", "uint8", json(environment).toByteArray())
            for ((name, row) in rows) add(zip, name, row.dtype, row.bytes.toByteArray(), shapes.getValue(name))
        } finally {
            zip.close()
        }
    }

    /** The shape that the model says, if it fits; else all values of a sample in a row. */
    private fun shapeOf(name: String, row: Rows): List<Int> {
        val values = row.bytes.size() / sizeOf(row.dtype)
        if (row.samples != inputs.n || (inputs.n > 0 && values % inputs.n != 0)) {
            throw IllegalStateException("the output '$name' was not added for each sample, or has other sizes in some")
        }
        val each = if (inputs.n > 0) values / inputs.n else 0
        val known = inputs.outputs.firstOrNull { it.name == name }?.shape
        if (known == null || known.any { it < 0 } || known.fold(1) { product, size -> product * size } != each) {
            return listOf(inputs.n, each)
        }
        return listOf(inputs.n) + known.toList()
    }

    /** Adds a .npy file of version 1: a magic word, a header that is padded to 64 bytes, and the values. */
    private fun add(
        zip: ZipOutputStream,
        name: String,
        dtype: String,
        bytes: ByteArray,
        shape: List<Int> = listOf(bytes.size / sizeOf(dtype)),
    ) {
        val sizes = shape.joinToString("") { "$it," }
        var header = "{'descr': '${DESCR.getValue(dtype)}', 'fortran_order': False, 'shape': ($sizes), }"
        while ((10 + header.length + 1) % 64 != 0) header += " "
        header += "\n"
        zip.putNextEntry(ZipEntry("$name.npy"))
        zip.write(0x93)
        zip.write("NUMPY".toByteArray())
        zip.write(byteArrayOf(1, 0, header.length.toByte(), (header.length shr 8).toByte()))
        zip.write(header.toByteArray())
        zip.write(bytes)
        zip.closeEntry()
    }
}

private val DESCR = mapOf(
    "float32" to "<f4", "float64" to "<f8", "int8" to "|i1", "uint8" to "|u1", "int16" to "<i2", "uint16" to "<u2",
    "int32" to "<i4", "uint32" to "<u4", "int64" to "<i8", "uint64" to "<u8", "bool" to "|b1",
)

private fun sizeOf(dtype: String): Int {
    val descr = DESCR[dtype] ?: throw IllegalArgumentException("values of the type '$dtype' cannot be written")
    return descr.substring(2).toInt()
}

private fun valuesOf(given: Any): Values = when (given) {
    is FloatArray -> Values("float32", bytes(4 * given.size) { for (value in given) it.putFloat(value) })
    is DoubleArray -> Values("float64", bytes(8 * given.size) { for (value in given) it.putDouble(value) })
    is ByteArray -> Values("int8", given)
    is ShortArray -> Values("int16", bytes(2 * given.size) { for (value in given) it.putShort(value) })
    is IntArray -> Values("int32", bytes(4 * given.size) { for (value in given) it.putInt(value) })
    is LongArray -> Values("int64", bytes(8 * given.size) { for (value in given) it.putLong(value) })
    is BooleanArray -> Values("bool", ByteArray(given.size) { if (given[it]) 1 else 0 })
    else -> throw IllegalArgumentException("${given.javaClass.name} cannot be written; give an array of numbers")
}

private fun bytes(size: Int, fill: (ByteBuffer) -> Unit): ByteArray {
    val buffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN)
    fill(buffer)
    return buffer.array()
}

private fun json(facts: Map<String, String>): String =
    facts.entries.joinToString(", ", "{", "}") { (name, value) -> quoted(name) + ": " + quoted(value) }

private fun quoted(text: String): String {
    val made = StringBuilder("\"")
    for (letter in text) {
        when {
            letter == '"' || letter == '\\' -> made.append('\\').append(letter)
            letter < ' ' -> made.append("\\u").append(letter.code.toString(16).padStart(4, '0'))
            else -> made.append(letter)
        }
    }
    return made.append('"').toString()
}
