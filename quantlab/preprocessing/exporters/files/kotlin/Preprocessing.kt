package quantlab.preprocessing

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin
import kotlin.math.truncate

/**
 * Turns decoded pixels into the input of the model, as the pipeline in Pipeline.kt says. It repeats the arithmetic of
 * Python step by step, so numbers are rounded to float32 where `single` is called.
 */
object Preprocessing {
    /** Rows from the top, pixels from the left, the values of a pixel side by side, red first; from 0 to 255. */
    class Image(val data: FloatArray, val height: Int, val width: Int, val channels: Int)

    /** For each output pixel, the positions of input pixels and their weights. */
    class Taps(val places: Array<IntArray>, val weights: Array<DoubleArray>)

    /** For each output pixel, the two input pixels around it, and where it lies between them. */
    class Between(val lower: IntArray, val upper: IntArray, val share: DoubleArray)

    /**
     * Turn the pixels of a picture into one sample, without the batch dimension.
     *
     * @param pixels red, green and blue of each pixel, row by row; for Android, `Bitmap.getPixels` with the alpha
     *   channel removed
     */
    fun preprocess(pixels: ByteArray, height: Int, width: Int): FloatArray {
        require(pixels.size == height * width * 3) { "${pixels.size} bytes are not $height x $width pixels" }
        return values(fitted(inColours(pixels, height, width)))
    }

    private fun inColours(pixels: ByteArray, height: Int, width: Int): Image {
        if (Pipeline.COLOUR != "grey") {
            return Image(FloatArray(pixels.size) { (pixels[it].toInt() and 255).toFloat() }, height, width, 3)
        }
        val grey = FloatArray(height * width) { pixel ->
            val (r, g, b) = List(3) { pixels[pixel * 3 + it].toInt() and 255 }
            when (Pipeline.DECODER) {
                "opencv" -> ((9798 * r + 19235 * g + 3735 * b + 16384) shr 15).toFloat()
                "tf" -> {
                    val part = { value: Int, weight: Float -> value * (1.0 / 255).toFloat() * weight }
                    floor(((part(r, 0.2989f) + part(g, 0.587f)) + part(b, 0.114f)) * 255.5f)
                }
                else -> ((19595 * r + 38470 * g + 7471 * b + 32768) shr 16).toFloat()
            }
        }
        return Image(grey, height, width, 1)
    }

    private fun fitted(image: Image): Image {
        var from = image
        if (Pipeline.CENTRAL_CROP < 1) {
            val top = truncate((from.height - from.height * Pipeline.CENTRAL_CROP) / 2).toInt()
            val left = truncate((from.width - from.width * Pipeline.CENTRAL_CROP) / 2).toInt()
            from = placed(from, top, left, from.height - 2 * top, from.width - 2 * left)
        }
        if (from.height == Pipeline.HEIGHT && from.width == Pipeline.WIDTH && Pipeline.SHORTER_SIDE == 0) return from
        require(Pipeline.RESIZE != "none") { "the image has ${from.height} x ${from.width} pixels" }
        val size = resizedSize(from.height, from.width)
        val resized = if (from.height == size[0] && from.width == size[1]) from else resize(from, size[0], size[1])
        val top = size[0] - Pipeline.HEIGHT
        val left = size[1] - Pipeline.WIDTH
        return when (Pipeline.ASPECT) {
            "crop" -> placed(resized, even(top / 2.0), even(left / 2.0), Pipeline.HEIGHT, Pipeline.WIDTH)
            "pad" -> placed(resized, -(-top / 2), -(-left / 2), Pipeline.HEIGHT, Pipeline.WIDTH)
            else -> resized
        }
    }

    /** Height and width to which an image is resized before it is cropped or padded. */
    private fun resizedSize(h: Int, w: Int): IntArray {
        val height = Pipeline.HEIGHT
        val width = Pipeline.WIDTH
        val side = Pipeline.SHORTER_SIDE
        return when {
            Pipeline.ASPECT == "stretch" -> intArrayOf(height, width)
            Pipeline.ASPECT == "crop" && side > 0 && h <= w -> intArrayOf(side, side * w / h)
            Pipeline.ASPECT == "crop" && side > 0 -> intArrayOf(side * h / w, side)
            Pipeline.ASPECT == "crop" && height * w >= width * h -> intArrayOf(height, max(width, height * w / h))
            Pipeline.ASPECT == "crop" -> intArrayOf(max(height, width * h / w), width)
            height * w <= width * h -> intArrayOf(height, max(1, height * w / h))
            else -> intArrayOf(max(1, width * h / w), width)
        }
    }

    /** The part of an image that begins at (top, left), which may lie outside of it. */
    private fun placed(image: Image, top: Int, left: Int, height: Int, width: Int): Image {
        val channels = image.channels
        val data = FloatArray(height * width * channels) { Pipeline.PAD_VALUE }
        for (y in max(0, -top) until min(height, image.height - top)) {
            for (x in max(0, -left) until min(width, image.width - left)) {
                for (channel in 0 until channels) {
                    data[(y * width + x) * channels + channel] =
                        image.data[((y + top) * image.width + x + left) * channels + channel]
                }
            }
        }
        return Image(data, height, width, channels)
    }

    private fun values(image: Image): FloatArray {
        val channels = image.channels
        val count = image.height * image.width
        val result = FloatArray(count * channels)
        for (pixel in 0 until count) {
            for (channel in 0 until channels) {
                val from = if (Pipeline.COLOUR == "bgr") channels - 1 - channel else channel
                val value = image.data[pixel * channels + from].toDouble()
                val scaled = value * Pipeline.SCALE[min(channel, Pipeline.SCALE.size - 1)] +
                    Pipeline.OFFSET[min(channel, Pipeline.OFFSET.size - 1)]
                val first = Pipeline.LAYOUT == "channels-first"
                result[if (first) channel * count + pixel else pixel * channels + channel] = scaled.toFloat()
            }
        }
        return result
    }

    // Resizers

    private fun resize(image: Image, height: Int, width: Int): Image {
        val method = Pipeline.RESIZE
        return when (Pipeline.RESIZER) {
            "tf" -> when (method) {
                "nearest" -> gather(image, height, width) { n, m -> tfNearest(n, m) }
                "bilinear" -> lerp(image, height, width, ::single) { n, m -> tfBetween(n, m) }
                "bicubic" -> rowsFirst(image, height, width) { n, m -> tfCubic(n, m) }
                else -> rowsFirst(image, height, width) { n, m -> tfSpans(n, m, ::lanczos3, 3.0, false) }
            }
            "tf-antialias" -> rowsFirst(image, height, width) { n, m ->
                when (method) {
                    "bilinear" -> tfSpans(n, m, { max(single(1 - it), 0.0) }, 1.0, true)
                    "bicubic" -> tfSpans(n, m, ::singleBicubic, 2.0, true)
                    else -> tfSpans(n, m, ::lanczos3, 3.0, true)
                }
            }
            "opencv" -> if (method == "nearest") {
                gather(image, height, width) { n, m -> IntArray(m) { min(floor(it * (n.toDouble() / m)).toInt(), n - 1) } }
            } else {
                opencvBilinear(image, height, width)
            }
            "tfjs", "tfjs-half-pixel", "tfjs-align-corners" -> if (method == "nearest") {
                gather(image, height, width) { n, m -> tfjsNearest(n, m) }
            } else {
                lerp(image, height, width, { it }) { n, m -> tfjsBetween(n, m) }
            }
            else -> pillow(image, height, width)
        }
    }

    private fun pillow(image: Image, height: Int, width: Int): Image {
        if (Pipeline.RESIZE == "nearest") return gather(image, height, width) { n, m -> pillowNearest(n, m) }
        val rows = { from: Image -> if (from.height == height) from else pillowPass(from, height, true) }
        val columns = { from: Image -> if (from.width == width) from else pillowPass(from, width, false) }
        val fewerRows = image.height - height
        val rowsFirst = Pipeline.RESIZER != "pillow-12" && fewerRows > max(0, 2 * (image.width - width))
        return if (rowsFirst) columns(rows(image)) else rows(columns(image))
    }

    private const val PILLOW_UNIT = 4194304.0

    private fun pillowPass(image: Image, wanted: Int, rows: Boolean): Image {
        val n = if (rows) image.height else image.width
        val taps = when (Pipeline.RESIZE) {
            "bilinear" -> pillowTaps(n, wanted, { max(1 - abs(it), 0.0) }, 1.0)
            "bicubic" -> pillowTaps(n, wanted, ::bicubic, 2.0)
            "lanczos" -> pillowTaps(n, wanted, ::lanczos3, 3.0)
            else -> pillowTaps(n, wanted, { if (it > -0.5 && it <= 0.5) 1.0 else 0.0 }, 0.5)
        }
        val whole = { sum: Double -> min(max(floor(sum / PILLOW_UNIT), 0.0), 255.0) }
        return summed(image, taps, rows, PILLOW_UNIT / 2, { it }, whole)
    }

    private fun pillowNearest(n: Int, wanted: Int): IntArray {
        val step = n.toDouble() / wanted
        var position = step * 0.5
        return IntArray(wanted) { val place = position.toInt(); position += step; place }
    }

    private fun pillowTaps(n: Int, wanted: Int, kernel: (Double) -> Double, support: Double): Taps {
        val scale = n.toDouble() / wanted
        val widened = max(scale, 1.0)
        val reach = support * widened
        val places = Array(wanted) { x ->
            val centre = (x + 0.5) * scale
            val first = max((centre - reach + 0.5).toInt(), 0)
            IntArray(min((centre + reach + 0.5).toInt(), n) - first) { first + it }
        }
        val weights = Array(wanted) { x ->
            val centre = (x + 0.5) * scale
            val raw = DoubleArray(places[x].size) { kernel((places[x][it] - centre + 0.5) * (1 / widened)) }
            val total = raw.fold(0.0) { sum, weight -> sum + weight }
            DoubleArray(raw.size) {
                val weight = raw[it] / total
                truncate(weight * PILLOW_UNIT + (if (weight < 0) -0.5 else 0.5))
            }
        }
        return Taps(places, weights)
    }

    private fun tfCentre(x: Int, step: Double): Double = single(single(single(x + 0.5) * step) - 0.5)

    private fun tfNearest(n: Int, wanted: Int): IntArray {
        val step = single(n.toDouble() / wanted)
        return IntArray(wanted) { min(floor(single(single(it + 0.5) * step)).toInt(), n - 1) }
    }

    private fun tfBetween(n: Int, wanted: Int): Between {
        val step = single(n.toDouble() / wanted)
        val centres = DoubleArray(wanted) { tfCentre(it, step) }
        return Between(
            IntArray(wanted) { clip(floor(centres[it]).toInt(), n) },
            IntArray(wanted) { clip(ceil(centres[it]).toInt(), n) },
            DoubleArray(wanted) { single(centres[it] - floor(centres[it])) }
        )
    }

    private fun tfCubic(n: Int, wanted: Int): Taps {
        val step = single(n.toDouble() / wanted)
        val places = Array(wanted) { IntArray(4) }
        val weights = Array(wanted) { x ->
            val centre = tfCentre(x, step)
            val lower = floor(centre)
            val offset = even(single(single(centre - lower) * 1024)) / 1024.0
            val raw = doubleArrayOf(bicubic(offset + 1), bicubic(offset), bicubic(1 - offset), bicubic(1 - offset + 1))
            for (tap in 0 until 4) {
                val place = lower.toInt() - 1 + tap
                places[x][tap] = clip(place, n)
                raw[tap] = if (place in 0 until n) single(raw[tap]) else 0.0
            }
            normalized(raw)
        }
        return Taps(places, weights)
    }

    private fun tfSpans(n: Int, wanted: Int, kernel: (Double) -> Double, radius: Double, antialias: Boolean): Taps {
        val inverse = single(1 / single(wanted.toDouble() / n))
        val stretch = if (antialias) max(inverse, 1.0) else 1.0
        val reach = single(radius * stretch)
        val narrowed = single(1 / stretch)
        val centres = DoubleArray(wanted) { single(single(it + 0.5) * inverse) }
        val places = Array(wanted) { x ->
            val first = max(ceil(single(single(centres[x] - reach) - 0.5)).toInt(), 0)
            val last = min(floor(single(single(centres[x] + reach) - 0.5)).toInt(), n - 1)
            IntArray(last - first + 1) { first + it }
        }
        val weights = Array(wanted) { x ->
            normalized(DoubleArray(places[x].size) {
                single(kernel(abs(single(single(single(places[x][it] + 0.5) - centres[x]) * narrowed))))
            })
        }
        return Taps(places, weights)
    }

    private fun normalized(raw: DoubleArray): DoubleArray {
        val share = single(1 / raw.fold(0.0) { sum, weight -> single(sum + weight) })
        return DoubleArray(raw.size) { single(raw[it] * share) }
    }

    private fun rowsFirst(image: Image, height: Int, width: Int, taps: (Int, Int) -> Taps): Image {
        val rows = summed(image, taps(image.height, height), true, 0.0, ::single, ::single)
        return summed(rows, taps(image.width, width), false, 0.0, ::single, ::single)
    }

    private fun opencvTaps(n: Int, wanted: Int): Taps {
        val centres = DoubleArray(wanted) { single((it + 0.5) * (n.toDouble() / wanted) - 0.5) }
        val places = Array(wanted) {
            val lower = floor(centres[it]).toInt()
            intArrayOf(clip(lower, n), clip(lower + 1, n))
        }
        val weights = Array(wanted) {
            val share = single(centres[it] - floor(centres[it]))
            doubleArrayOf(even(single(single(1 - share) * 2048)).toDouble(), even(single(share * 2048)).toDouble())
        }
        return Taps(places, weights)
    }

    private fun opencvBilinear(image: Image, height: Int, width: Int): Image {
        val columns = opencvTaps(image.width, width)
        for (x in 0 until width) {
            // Columns outside of the image get the whole weight at once; rows are added up from two equal ones.
            if (columns.places[x][0] == columns.places[x][1]) columns.weights[x] = doubleArrayOf(2048.0, 0.0)
        }
        val across = summed(image, columns, false, 0.0, { it }, { floor(it / 16) })
        val rows = opencvTaps(image.height, height)
        val line = width * image.channels
        val data = FloatArray(height * line) {
            val y = it / line
            var sum = 2.0
            for (tap in 0 until 2) {
                val value = across.data[rows.places[y][tap] * line + it % line]
                sum += floor(value * rows.weights[y][tap] / 65536)
            }
            min(max(floor(sum / 4), 0.0), 255.0).toFloat()
        }
        return Image(data, height, width, image.channels)
    }

    private fun tfjsPosition(x: Int, n: Int, wanted: Int): Double = when {
        Pipeline.RESIZER == "tfjs-half-pixel" -> (x + 0.5) * (n.toDouble() / wanted) - 0.5
        Pipeline.RESIZER == "tfjs-align-corners" && wanted > 1 -> x * ((n - 1).toDouble() / (wanted - 1))
        else -> x * (n.toDouble() / wanted)
    }

    private fun tfjsNearest(n: Int, wanted: Int): IntArray = IntArray(wanted) {
        val position = when (Pipeline.RESIZER) {
            "tfjs-half-pixel" -> (it + 0.5) * (n.toDouble() / wanted)
            "tfjs-align-corners" -> tfjsPosition(it, n, wanted) + 0.5
            else -> tfjsPosition(it, n, wanted)
        }
        clip(floor(position).toInt(), n)
    }

    private fun tfjsBetween(n: Int, wanted: Int): Between {
        val positions = DoubleArray(wanted) { tfjsPosition(it, n, wanted) }
        return Between(
            IntArray(wanted) { clip(floor(positions[it]).toInt(), n) },
            IntArray(wanted) { clip(ceil(positions[it]).toInt(), n) },
            DoubleArray(wanted) { positions[it] - max(floor(positions[it]), 0.0) }
        )
    }

    // Arithmetic

    private fun gather(image: Image, height: Int, width: Int, places: (Int, Int) -> IntArray): Image {
        val rows = places(image.height, height)
        val columns = places(image.width, width)
        val channels = image.channels
        val data = FloatArray(height * width * channels) {
            val pixel = it / channels
            image.data[(rows[pixel / width] * image.width + columns[pixel % width]) * channels + it % channels]
        }
        return Image(data, height, width, channels)
    }

    private fun lerp(
        image: Image, height: Int, width: Int, rounded: (Double) -> Double, between: (Int, Int) -> Between
    ): Image {
        val rows = between(image.height, height)
        val columns = between(image.width, width)
        val channels = image.channels
        val across = { row: Int, x: Int, channel: Int ->
            val left = image.data[(row * image.width + columns.lower[x]) * channels + channel].toDouble()
            val right = image.data[(row * image.width + columns.upper[x]) * channels + channel].toDouble()
            rounded(left + rounded(rounded(right - left) * columns.share[x]))
        }
        val data = FloatArray(height * width * channels) {
            val y = it / channels / width
            val x = it / channels % width
            val top = across(rows.lower[y], x, it % channels)
            val bottom = across(rows.upper[y], x, it % channels)
            rounded(top + rounded(rounded(bottom - top) * rows.share[y])).toFloat()
        }
        return Image(data, height, width, channels)
    }

    /** Add weight x pixel along rows or columns, tap by tap. */
    private fun summed(
        image: Image, taps: Taps, rows: Boolean, start: Double, rounded: (Double) -> Double, stored: (Double) -> Double
    ): Image {
        val height = if (rows) taps.places.size else image.height
        val width = if (rows) image.width else taps.places.size
        val channels = image.channels
        val data = FloatArray(height * width * channels) {
            val y = it / channels / width
            val x = it / channels % width
            val places = taps.places[if (rows) y else x]
            val weights = taps.weights[if (rows) y else x]
            var total = start
            for (tap in places.indices) {
                val pixel = if (rows) places[tap] * width + x else y * image.width + places[tap]
                total = rounded(total + rounded(image.data[pixel * channels + it % channels] * weights[tap]))
            }
            stored(total).toFloat()
        }
        return Image(data, height, width, channels)
    }

    private fun single(x: Double): Double = x.toFloat().toDouble()

    private fun clip(place: Int, n: Int): Int = min(max(place, 0), n - 1)

    /** Round to the nearest whole number, halves to the even one. */
    private fun even(x: Double): Int {
        val lower = floor(x)
        val up = x - lower > 0.5 || (x - lower == 0.5 && lower % 2 != 0.0)
        return lower.toInt() + (if (up) 1 else 0)
    }

    private fun bicubic(signed: Double): Double {
        val a = -0.5
        val x = abs(signed)
        return when {
            x < 1 -> ((a + 2) * x - (a + 3)) * x * x + 1
            x < 2 -> (((x - 5) * x + 8) * x - 4) * a
            else -> 0.0
        }
    }

    private fun singleBicubic(x: Double): Double = when {
        x >= 2 -> 0.0
        x >= 1 -> single(single(single(single(single(single(-0.5 * x) + 2.5) * x) - 4) * x) + 2)
        else -> single(single(single(single(single(1.5 * x) - 2.5) * x) * x) + 1)
    }

    private fun lanczos3(x: Double): Double {
        if (x == 0.0) return 1.0
        if (!(x >= -3 && x < 3)) return 0.0
        val angle = x * PI
        return sin(angle) / angle * (sin(angle / 3) / (angle / 3))
    }
}
