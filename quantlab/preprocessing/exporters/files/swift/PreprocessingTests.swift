import Foundation
import XCTest

/// The vectors, for XCTest; add the folders `pixels` and `expected` to the test target, beside this file.
final class PreprocessingTests: XCTestCase {
    private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    func testTheVectorsBelongToThisPipeline() throws {
        XCTAssertEqual(Vectors.pipelineSHA256, Pipeline.sha256, "made for another pipeline; export both again")
        let text = try String(contentsOf: folder.appendingPathComponent("vectors.json"), encoding: .utf8)
        XCTAssertTrue(text.contains("\"pipeline_sha256\": \"\(Pipeline.sha256)\""))
    }

    func testEveryVectorBecomesTheExpectedTensor() throws {
        for vector in Vectors.all {
            let pixels = [UInt8](try Data(contentsOf: folder.appendingPathComponent("pixels/\(vector.name).bin")))
            let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent("expected/\(vector.name).bin")))
            let values = Preprocessing.preprocess(pixels, height: vector.height, width: vector.width)
            XCTAssertEqual(values.count * 4, bytes.count)
            for (at, value) in values.enumerated() {
                let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at * 4 + $1]) << UInt32(8 * $1) }
                let difference = abs(Double(value) - Double(Float(bitPattern: bits)))
                XCTAssertLessThanOrEqual(difference, Vectors.tolerance, "\(vector.name): value \(at)")
            }
        }
    }
}
