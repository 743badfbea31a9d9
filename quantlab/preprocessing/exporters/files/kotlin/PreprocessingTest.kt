package quantlab.preprocessing

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** The vectors, for JUnit 4; run it where the folders `pixels` and `expected` are in the working directory. */
class PreprocessingTest {
    @Test
    fun theVectorsBelongToThisPipeline() {
        assertEquals("made for another pipeline; export both again", Vectors.PIPELINE_SHA256, Pipeline.SHA256)
        assertTrue(File("vectors.json").readText().contains("\"pipeline_sha256\": \"${Pipeline.SHA256}\""))
    }

    @Test
    fun everyVectorBecomesTheExpectedTensor() {
        for (vector in Vectors.ALL) {
            val pixels = File("pixels/${vector.name}.bin").readBytes()
            val values = Preprocessing.preprocess(pixels, vector.height, vector.width)
            val expected = ByteBuffer.wrap(File("expected/${vector.name}.bin").readBytes())
                .order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            assertEquals(expected.remaining(), values.size)
            for (at in values.indices) {
                val difference = abs(values[at] - expected.get(at))
                assertTrue("${vector.name}: value $at differs by $difference", difference <= Vectors.TOLERANCE)
            }
        }
    }
}
