import Foundation

/// Turns decoded pixels into the input of the model, as the pipeline in Pipeline.swift says. It repeats the arithmetic
/// of Python step by step, so numbers are rounded to Float where `single` is called.
enum Preprocessing {
    /// Rows from the top, pixels from the left, the values of a pixel side by side, red first; from 0 to 255.
    struct Image {
        var data: [Float]
        let height: Int
        let width: Int
        let channels: Int
    }

    /// For each output pixel, the positions of input pixels and their weights.
    struct Taps {
        var places: [[Int]]
        var weights: [[Double]]
    }

    /// For each output pixel, the two input pixels around it, and where it lies between them.
    struct Between {
        let lower: [Int]
        let upper: [Int]
        let share: [Double]
    }

    /// Turn the pixels of a picture into one sample, without the batch dimension.
    ///
    /// - Parameter pixels: red, green and blue of each pixel, row by row.
    static func preprocess(_ pixels: [UInt8], height: Int, width: Int) -> [Float] {
        precondition(pixels.count == height * width * 3, "\(pixels.count) bytes are not \(height) x \(width) pixels")
        return values(fitted(inColours(pixels, height, width)))
    }

    private static func inColours(_ pixels: [UInt8], _ height: Int, _ width: Int) -> Image {
        if Pipeline.colour != "grey" {
            return Image(data: pixels.map { Float($0) }, height: height, width: width, channels: 3)
        }
        let grey = (0..<height * width).map { (pixel: Int) -> Float in
            greyOf(Int(pixels[pixel * 3]), Int(pixels[pixel * 3 + 1]), Int(pixels[pixel * 3 + 2]))
        }
        return Image(data: grey, height: height, width: width, channels: 1)
    }

    private static func greyOf(_ r: Int, _ g: Int, _ b: Int) -> Float {
        switch Pipeline.decoder {
        case "opencv":
            return Float((9798 * r + 19235 * g + 3735 * b + 16384) >> 15)
        case "tf":
            let unit = Float(1.0 / 255)
            let red: Float = Float(r) * unit * 0.2989
            let green: Float = Float(g) * unit * 0.587
            let blue: Float = Float(b) * unit * 0.114
            return (((red + green) + blue) * 255.5).rounded(.down)
        default:
            return Float((19595 * r + 38470 * g + 7471 * b + 32768) >> 16)
        }
    }

    private static func fitted(_ image: Image) -> Image {
        var from = image
        if Pipeline.centralCrop < 1 {
            let top = Int((Double(from.height) - Double(from.height) * Pipeline.centralCrop) / 2)
            let left = Int((Double(from.width) - Double(from.width) * Pipeline.centralCrop) / 2)
            from = placed(from, top, left, from.height - 2 * top, from.width - 2 * left)
        }
        if from.height == Pipeline.height && from.width == Pipeline.width && Pipeline.shorterSide == 0 { return from }
        precondition(Pipeline.resize != "none", "the image has \(from.height) x \(from.width) pixels")
        let size = resizedSize(from.height, from.width)
        let same = from.height == size.height && from.width == size.width
        let resized = same ? from : resize(from, size.height, size.width)
        let top = size.height - Pipeline.height
        let left = size.width - Pipeline.width
        switch Pipeline.aspect {
        case "crop":
            return placed(resized, even(Double(top) / 2), even(Double(left) / 2), Pipeline.height, Pipeline.width)
        case "pad":
            return placed(resized, -(-top / 2), -(-left / 2), Pipeline.height, Pipeline.width)
        default:
            return resized
        }
    }

    /// Height and width to which an image is resized before it is cropped or padded.
    private static func resizedSize(_ h: Int, _ w: Int) -> (height: Int, width: Int) {
        let height = Pipeline.height
        let width = Pipeline.width
        let side = Pipeline.shorterSide
        if Pipeline.aspect == "stretch" { return (height, width) }
        if Pipeline.aspect == "crop" {
            if side > 0 { return h <= w ? (side, side * w / h) : (side * h / w, side) }
            if height * w >= width * h { return (height, max(width, height * w / h)) }
            return (max(height, width * h / w), width)
        }
        if height * w <= width * h { return (height, max(1, height * w / h)) }
        return (max(1, width * h / w), width)
    }

    /// The part of an image that begins at (top, left), which may lie outside of it.
    private static func placed(_ image: Image, _ top: Int, _ left: Int, _ height: Int, _ width: Int) -> Image {
        let channels = image.channels
        var data = [Float](repeating: Pipeline.padValue, count: height * width * channels)
        for y in 0..<height where y + top >= 0 && y + top < image.height {
            for x in 0..<width where x + left >= 0 && x + left < image.width {
                for channel in 0..<channels {
                    let from = ((y + top) * image.width + x + left) * channels + channel
                    data[(y * width + x) * channels + channel] = image.data[from]
                }
            }
        }
        return Image(data: data, height: height, width: width, channels: channels)
    }

    private static func values(_ image: Image) -> [Float] {
        let channels = image.channels
        let count = image.height * image.width
        var result = [Float](repeating: 0, count: count * channels)
        for pixel in 0..<count {
            for channel in 0..<channels {
                let from = Pipeline.colour == "bgr" ? channels - 1 - channel : channel
                let value = Double(image.data[pixel * channels + from])
                let product = value * Pipeline.scale[min(channel, Pipeline.scale.count - 1)]
                let scaled = product + Pipeline.offset[min(channel, Pipeline.offset.count - 1)]
                let first = Pipeline.layout == "channels-first"
                result[first ? channel * count + pixel : pixel * channels + channel] = Float(scaled)
            }
        }
        return result
    }

    // Resizers

    private static func resize(_ image: Image, _ height: Int, _ width: Int) -> Image {
        let method = Pipeline.resize
        switch Pipeline.resizer {
        case "tf":
            if method == "nearest" { return gather(image, height, width, tfNearest) }
            if method == "bilinear" { return lerp(image, height, width, single, tfBetween) }
            if method == "bicubic" { return rowsFirst(image, height, width, tfCubic) }
            return rowsFirst(image, height, width) { n, m in tfSpans(n, m, lanczos3, 3, antialias: false) }
        case "tf-antialias":
            if method == "bilinear" {
                return rowsFirst(image, height, width) { n, m in
                    tfSpans(n, m, { max(single(1 - $0), 0) }, 1, antialias: true)
                }
            }
            if method == "bicubic" {
                return rowsFirst(image, height, width) { n, m in tfSpans(n, m, singleBicubic, 2, antialias: true) }
            }
            return rowsFirst(image, height, width) { n, m in tfSpans(n, m, lanczos3, 3, antialias: true) }
        case "opencv":
            if method == "bilinear" { return opencvBilinear(image, height, width) }
            return gather(image, height, width) { n, m in
                (0..<m).map { min(Int((Double($0) * (Double(n) / Double(m))).rounded(.down)), n - 1) }
            }
        case "tfjs", "tfjs-half-pixel", "tfjs-align-corners":
            if method == "nearest" { return gather(image, height, width, tfjsNearest) }
            return lerp(image, height, width, { $0 }, tfjsBetween)
        default:
            return pillow(image, height, width)
        }
    }

    private static func pillow(_ image: Image, _ height: Int, _ width: Int) -> Image {
        if Pipeline.resize == "nearest" { return gather(image, height, width, pillowNearest) }
        let fewerRows = image.height - height
        let rowsFirst = Pipeline.resizer != "pillow-12" && fewerRows > max(0, 2 * (image.width - width))
        if rowsFirst { return pillowPass(pillowPass(image, height, rows: true), width, rows: false) }
        return pillowPass(pillowPass(image, width, rows: false), height, rows: true)
    }

    private static let pillowUnit = 4194304.0

    private static func pillowPass(_ image: Image, _ wanted: Int, rows: Bool) -> Image {
        let n = rows ? image.height : image.width
        if n == wanted { return image }
        let taps: Taps
        switch Pipeline.resize {
        case "bilinear": taps = pillowTaps(n, wanted, { max(1 - abs($0), 0) }, 1)
        case "bicubic": taps = pillowTaps(n, wanted, bicubic, 2)
        case "lanczos": taps = pillowTaps(n, wanted, lanczos3, 3)
        default: taps = pillowTaps(n, wanted, { $0 > -0.5 && $0 <= 0.5 ? 1 : 0 }, 0.5)
        }
        return summed(image, taps, rows: rows, start: pillowUnit / 2, rounded: { $0 }) {
            min(max(($0 / pillowUnit).rounded(.down), 0), 255)
        }
    }

    private static func pillowNearest(_ n: Int, _ wanted: Int) -> [Int] {
        let step = Double(n) / Double(wanted)
        var position = step * 0.5
        return (0..<wanted).map { _ -> Int in
            defer { position += step }
            return Int(position)
        }
    }

    private static func pillowTaps(
        _ n: Int, _ wanted: Int, _ kernel: (Double) -> Double, _ support: Double
    ) -> Taps {
        let scale = Double(n) / Double(wanted)
        let widened = max(scale, 1)
        let reach = support * widened
        var taps = Taps(places: [], weights: [])
        for x in 0..<wanted {
            let centre = (Double(x) + 0.5) * scale
            let first = max(Int(centre - reach + 0.5), 0)
            let end = min(Int(centre + reach + 0.5), n)
            let places = Array(first..<end)
            let raw = places.map { kernel((Double($0) - centre + 0.5) * (1 / widened)) }
            let total = raw.reduce(0, +)
            taps.places.append(places)
            taps.weights.append(raw.map {
                let weight = $0 / total
                return (weight * pillowUnit + (weight < 0 ? -0.5 : 0.5)).rounded(.towardZero)
            })
        }
        return taps
    }

    private static func tfCentres(_ n: Int, _ wanted: Int) -> [Double] {
        let step = single(Double(n) / Double(wanted))
        return (0..<wanted).map { single(single(single(Double($0) + 0.5) * step) - 0.5) }
    }

    private static func tfNearest(_ n: Int, _ wanted: Int) -> [Int] {
        let step = single(Double(n) / Double(wanted))
        return (0..<wanted).map { min(Int(single(single(Double($0) + 0.5) * step).rounded(.down)), n - 1) }
    }

    private static func tfBetween(_ n: Int, _ wanted: Int) -> Between {
        let centres = tfCentres(n, wanted)
        return Between(
            lower: centres.map { clip(Int($0.rounded(.down)), n) },
            upper: centres.map { clip(Int($0.rounded(.up)), n) },
            share: centres.map { single($0 - $0.rounded(.down)) }
        )
    }

    private static func tfCubic(_ n: Int, _ wanted: Int) -> Taps {
        var taps = Taps(places: [], weights: [])
        for centre in tfCentres(n, wanted) {
            let lower = centre.rounded(.down)
            let offset = Double(even(single(single(centre - lower) * 1024))) / 1024
            let raw = [bicubic(offset + 1), bicubic(offset), bicubic(1 - offset), bicubic(1 - offset + 1)]
            let places = (0..<4).map { Int(lower) - 1 + $0 }
            taps.places.append(places.map { clip($0, n) })
            taps.weights.append(normalized((0..<4).map { places[$0] >= 0 && places[$0] < n ? single(raw[$0]) : 0 }))
        }
        return taps
    }

    private static func tfSpans(
        _ n: Int, _ wanted: Int, _ kernel: (Double) -> Double, _ radius: Double, antialias: Bool
    ) -> Taps {
        let inverse = single(1 / single(Double(wanted) / Double(n)))
        let stretch = antialias ? max(inverse, 1) : 1
        let reach = single(radius * stretch)
        let narrowed = single(1 / stretch)
        var taps = Taps(places: [], weights: [])
        for x in 0..<wanted {
            let centre = single(single(Double(x) + 0.5) * inverse)
            let first = max(Int(single(single(centre - reach) - 0.5).rounded(.up)), 0)
            let last = min(Int(single(single(centre + reach) - 0.5).rounded(.down)), n - 1)
            let places = Array(first...last)
            taps.places.append(places)
            taps.weights.append(normalized(places.map {
                single(kernel(abs(single(single(single(Double($0) + 0.5) - centre) * narrowed))))
            }))
        }
        return taps
    }

    private static func normalized(_ raw: [Double]) -> [Double] {
        let share = single(1 / raw.reduce(0) { single($0 + $1) })
        return raw.map { single($0 * share) }
    }

    private static func rowsFirst(
        _ image: Image, _ height: Int, _ width: Int, _ taps: (Int, Int) -> Taps
    ) -> Image {
        let rows = summed(image, taps(image.height, height), rows: true, start: 0, rounded: single, stored: single)
        return summed(rows, taps(image.width, width), rows: false, start: 0, rounded: single, stored: single)
    }

    private static func opencvTaps(_ n: Int, _ wanted: Int) -> Taps {
        var taps = Taps(places: [], weights: [])
        for x in 0..<wanted {
            let centre = single((Double(x) + 0.5) * (Double(n) / Double(wanted)) - 0.5)
            let lower = centre.rounded(.down)
            let share = single(centre - lower)
            taps.places.append([clip(Int(lower), n), clip(Int(lower) + 1, n)])
            taps.weights.append([
                Double(even(single(single(1 - share) * 2048))), Double(even(single(share * 2048))),
            ])
        }
        return taps
    }

    private static func opencvBilinear(_ image: Image, _ height: Int, _ width: Int) -> Image {
        var columns = opencvTaps(image.width, width)
        for x in 0..<width where columns.places[x][0] == columns.places[x][1] {
            // Columns outside of the image get the whole weight at once; rows are added up from two equal ones.
            columns.weights[x] = [2048, 0]
        }
        let across = summed(image, columns, rows: false, start: 0, rounded: { $0 }) { ($0 / 16).rounded(.down) }
        let rows = opencvTaps(image.height, height)
        let line = width * image.channels
        let data = (0..<height * line).map { (at: Int) -> Float in
            let y = at / line
            var sum = 2.0
            for tap in 0..<2 {
                let value = Double(across.data[rows.places[y][tap] * line + at % line])
                sum += (value * rows.weights[y][tap] / 65536).rounded(.down)
            }
            return Float(min(max((sum / 4).rounded(.down), 0), 255))
        }
        return Image(data: data, height: height, width: width, channels: image.channels)
    }

    private static func tfjsPosition(_ x: Int, _ n: Int, _ wanted: Int) -> Double {
        if Pipeline.resizer == "tfjs-half-pixel" {
            return (Double(x) + 0.5) * (Double(n) / Double(wanted)) - 0.5
        }
        if Pipeline.resizer == "tfjs-align-corners" && wanted > 1 {
            return Double(x) * (Double(n - 1) / Double(wanted - 1))
        }
        return Double(x) * (Double(n) / Double(wanted))
    }

    private static func tfjsNearest(_ n: Int, _ wanted: Int) -> [Int] {
        (0..<wanted).map { (x: Int) -> Int in
            var position = tfjsPosition(x, n, wanted)
            if Pipeline.resizer == "tfjs-half-pixel" { position = (Double(x) + 0.5) * (Double(n) / Double(wanted)) }
            if Pipeline.resizer == "tfjs-align-corners" { position += 0.5 }
            return clip(Int(position.rounded(.down)), n)
        }
    }

    private static func tfjsBetween(_ n: Int, _ wanted: Int) -> Between {
        let positions = (0..<wanted).map { tfjsPosition($0, n, wanted) }
        return Between(
            lower: positions.map { clip(Int($0.rounded(.down)), n) },
            upper: positions.map { clip(Int($0.rounded(.up)), n) },
            share: positions.map { $0 - max($0.rounded(.down), 0) }
        )
    }

    // Arithmetic

    private static func gather(
        _ image: Image, _ height: Int, _ width: Int, _ places: (Int, Int) -> [Int]
    ) -> Image {
        let rows = places(image.height, height)
        let columns = places(image.width, width)
        let channels = image.channels
        let data = (0..<height * width * channels).map { (at: Int) -> Float in
            let pixel = at / channels
            return image.data[(rows[pixel / width] * image.width + columns[pixel % width]) * channels + at % channels]
        }
        return Image(data: data, height: height, width: width, channels: channels)
    }

    private static func lerp(
        _ image: Image, _ height: Int, _ width: Int, _ rounded: (Double) -> Double, _ between: (Int, Int) -> Between
    ) -> Image {
        let rows = between(image.height, height)
        let columns = between(image.width, width)
        let channels = image.channels
        func across(_ row: Int, _ x: Int, _ channel: Int) -> Double {
            let left = Double(image.data[(row * image.width + columns.lower[x]) * channels + channel])
            let right = Double(image.data[(row * image.width + columns.upper[x]) * channels + channel])
            return rounded(left + rounded(rounded(right - left) * columns.share[x]))
        }
        let data = (0..<height * width * channels).map { (at: Int) -> Float in
            let y = at / channels / width
            let x = at / channels % width
            let top = across(rows.lower[y], x, at % channels)
            let bottom = across(rows.upper[y], x, at % channels)
            return Float(rounded(top + rounded(rounded(bottom - top) * rows.share[y])))
        }
        return Image(data: data, height: height, width: width, channels: channels)
    }

    /// Add weight x pixel along rows or columns, tap by tap.
    private static func summed(
        _ image: Image, _ taps: Taps, rows: Bool, start: Double,
        rounded: (Double) -> Double, stored: (Double) -> Double
    ) -> Image {
        let height = rows ? taps.places.count : image.height
        let width = rows ? image.width : taps.places.count
        let channels = image.channels
        let data = (0..<height * width * channels).map { (at: Int) -> Float in
            let y = at / channels / width
            let x = at / channels % width
            let places = taps.places[rows ? y : x]
            let weights = taps.weights[rows ? y : x]
            var total = start
            for tap in places.indices {
                let pixel = rows ? places[tap] * width + x : y * image.width + places[tap]
                let product = rounded(Double(image.data[pixel * channels + at % channels]) * weights[tap])
                total = rounded(total + product)
            }
            return Float(stored(total))
        }
        return Image(data: data, height: height, width: width, channels: channels)
    }

    private static func single(_ x: Double) -> Double { Double(Float(x)) }

    private static func clip(_ place: Int, _ n: Int) -> Int { min(max(place, 0), n - 1) }

    /// Round to the nearest whole number, halves to the even one.
    private static func even(_ x: Double) -> Int { Int(x.rounded(.toNearestOrEven)) }

    private static func bicubic(_ signed: Double) -> Double {
        let a = -0.5
        let x = abs(signed)
        if x < 1 {
            let inner = (a + 2) * x - (a + 3)
            return inner * x * x + 1
        }
        if x < 2 {
            let inner = (x - 5) * x + 8
            return (inner * x - 4) * a
        }
        return 0
    }

    private static func singleBicubic(_ x: Double) -> Double {
        if x >= 2 { return 0 }
        if x >= 1 {
            let inner = single(single(single(single(-0.5 * x) + 2.5) * x) - 4)
            return single(single(inner * x) + 2)
        }
        let inner = single(single(1.5 * x) - 2.5)
        return single(single(single(inner * x) * x) + 1)
    }

    private static func lanczos3(_ x: Double) -> Double {
        if x == 0 { return 1 }
        if !(x >= -3 && x < 3) { return 0 }
        let angle = x * Double.pi
        return sin(angle) / angle * (sin(angle / 3) / (angle / 3))
    }
}
