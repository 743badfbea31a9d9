// Runs a model on the inputs that `quantlab export inputs` wrote, and writes outputs.npz for `quantlab import`.
// For C++17 on a little-endian machine, without dependencies; the runtime is called by your program. License: MIT-0.
//
//   #include "dump.hpp"
//
//   quantlab::Inputs inputs("inputs");                       // the folder
//   quantlab::Outputs outputs(inputs, {{"app", "1.2.3"}});
//   for (std::size_t sample = 0; sample < inputs.n; ++sample) {
//     quantlab::Batch batch = inputs.read(sample, 1);
//     std::vector<float> result = my_app(batch.values<float>("image"));
//     outputs.add(batch, {{"probabilities", result}});
//   }
//   outputs.write("outputs.npz");
//
// `inputs.inputs` and `inputs.outputs` have the names in the model (`name`) and in the artifact (`tensor`), the
// positions there, and data types and shapes of one sample. Errors are quantlab::Error.

#ifndef QUANTLAB_DUMP_HPP
#define QUANTLAB_DUMP_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace quantlab {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Bytes = std::vector<unsigned char>;

/// An input or output. Sizes of the shape that are not known are -1; `file` and `sample_bytes` are those of inputs.
struct Port {
  std::string name, tensor;
  int position = 0;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string file;
  std::size_t sample_bytes = 0;
};

/// Consecutive samples: the number of the first one, how many they are, and the bytes of each input.
struct Batch {
  std::size_t start = 0, count = 0;
  std::map<std::string, Bytes> tensors;

  const Bytes& bytes(const std::string& input) const {
    const auto found = tensors.find(input);
    if (found == tensors.end()) throw Error("there is no input '" + input + "'");
    return found->second;
  }

  /// The values of an input, of all samples in a row; T has the size of its data type.
  template <class T>
  std::vector<T> values(const std::string& input) const {
    const Bytes& data = bytes(input);
    std::vector<T> made(data.size() / sizeof(T));
    if (made.size() * sizeof(T) != data.size()) throw Error("the input '" + input + "' has values of another size");
    if (!data.empty()) std::memcpy(made.data(), data.data(), data.size());
    return made;
  }
};

/// The values of an output, of all samples of a batch in a row.
class Values {
 public:
  template <class T>
  Values(const std::vector<T>& values) : Values(values.data(), values.size()) {}

  template <class T>
  Values(const T* values, std::size_t count) : descr(described<T>()), size(sizeof(T)), data(count * sizeof(T)) {
    if (count) std::memcpy(data.data(), values, data.size());
  }

  std::string descr;
  std::size_t size;
  Bytes data;

 private:
  template <class T>
  static std::string described() {
    static_assert(std::is_arithmetic<T>::value && sizeof(T) <= 8, "numbers of at most eight bytes can be written");
    const std::string order = sizeof(T) == 1 ? "|" : "<";
    const std::string kind = std::is_same<T, bool>::value     ? "b"
                             : std::is_floating_point<T>::value ? "f"
                             : std::is_signed<T>::value         ? "i"
                                                                : "u";
    return order + kind + std::to_string(sizeof(T));
  }
};

/// CRC-32 of bytes as in zlib, continued from that of the bytes before.
inline std::uint32_t crc32(const unsigned char* bytes, std::size_t count, std::uint32_t before = 0) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t value = byte;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1u ? 0xedb88320u : 0u);
      made[byte] = value;
    }
    return made;
  }();
  std::uint32_t value = ~before;
  for (std::size_t place = 0; place < count; ++place) value = (value >> 8) ^ table[(value ^ bytes[place]) & 0xffu];
  return ~value;
}

/// The samples: `n` of them, and the ports of the model.
class Inputs {
 public:
  explicit Inputs(std::string folder) : folder_(std::move(folder)) {
    const std::uint16_t one = 1;
    unsigned char first = 0;
    std::memcpy(&first, &one, 1);
    if (first != 1) throw Error("the inputs are little-endian, and this machine is not");
    std::ifstream file(folder_ + "/inputs.txt", std::ios::binary);
    std::string line;
    if (!file || !std::getline(file, line) || line != "quantlab inputs 1") {
      throw Error(folder_ + "/inputs.txt was not written by quantlab export inputs");
    }
    while (std::getline(file, line)) read_line(split(line, '\t'));
  }

  std::size_t n = 0;
  std::string samples_sha256;
  std::vector<Port> inputs, outputs;

  /// `count` samples from number `start` on.
  Batch read(std::size_t start, std::size_t count) const {
    if (count == 0 || start > n || count > n - start) throw Error("there are " + std::to_string(n) + " samples");
    Batch batch;
    batch.start = start;
    batch.count = count;
    for (const Port& input : inputs) {
      Bytes bytes(count * input.sample_bytes);
      std::ifstream file(folder_ + "/" + input.file, std::ios::binary);
      file.seekg(static_cast<std::streamoff>(start) * static_cast<std::streamoff>(input.sample_bytes));
      file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      if (!file) throw Error(folder_ + "/" + input.file + " is missing or too short");
      batch.tensors[input.name] = std::move(bytes);
    }
    return batch;
  }

 private:
  std::string folder_;

  void read_line(const std::vector<std::string>& fields) {
    const std::string& key = fields[0];
    if (key == "samples" && fields.size() == 2) samples_sha256 = fields[1];
    if (key == "n" && fields.size() == 2) n = std::stoull(fields[1]);
    if (key == "input" && fields.size() == 8) {
      Port input = port(fields);
      input.file = fields[6];
      input.sample_bytes = std::stoull(fields[7]);
      inputs.push_back(input);
    }
    if (key == "output" && fields.size() == 6) outputs.push_back(port(fields));
  }

  static Port port(const std::vector<std::string>& fields) {
    Port made;
    made.name = decoded(fields[1]);
    made.tensor = decoded(fields[2]);
    made.position = std::stoi(fields[3]);
    made.dtype = fields[4];
    if (!fields[5].empty()) {
      for (const std::string& size : split(fields[5], ',')) made.shape.push_back(std::stoll(size));
    }
    return made;
  }

  static std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts(1);
    for (const char letter : text) {
      if (letter == separator) parts.emplace_back();
      else parts.back() += letter;
    }
    return parts;
  }

  /// A name in UTF-8 from its percent-encoding, which `inputs.txt` has.
  static std::string decoded(const std::string& text) {
    std::string made;
    for (std::size_t place = 0; place < text.size(); ++place) {
      if (text[place] == '%' && place + 2 < text.size()) {
        made += static_cast<char>(std::stoi(text.substr(place + 1, 2), nullptr, 16));
        place += 2;
      } else {
        made += text[place];
      }
    }
    return made;
  }
};

/// Collects outputs, and the checksum of each sample that was fed.
class Outputs {
 public:
  /// `inputs` must live as long as this. `environment` has facts about the program in UTF-8, for example versions.
  explicit Outputs(const Inputs& inputs, std::map<std::string, std::string> environment = {})
      : inputs_(inputs), environment_(std::move(environment)) {}

  explicit Outputs(Inputs&&, std::map<std::string, std::string> = {}) = delete;

  /// Adds the outputs of a batch, by output.
  void add(const Batch& batch, const std::map<std::string, Values>& outputs) {
    if (batch.start != crc32_.size()) {
      throw Error("the next sample is " + std::to_string(crc32_.size()) + ", and " + std::to_string(batch.start) +
                  " was added");
    }
    for (const auto& output : outputs) add_rows(output.first, output.second, batch.count);
    for (std::size_t sample = 0; sample < batch.count; ++sample) {
      std::uint32_t value = 0;
      for (const Port& input : inputs_.inputs) {
        const Bytes& bytes = batch.bytes(input.name);
        if (bytes.size() != batch.count * input.sample_bytes) {
          throw Error("the input '" + input.name + "' of the batch has another size");
        }
        value = quantlab::crc32(bytes.data() + sample * input.sample_bytes, input.sample_bytes, value);
      }
      crc32_.push_back(value);
    }
  }

  /// Writes outputs.npz.
  void write(const std::string& path) const {
    if (crc32_.size() != inputs_.n) {
      throw Error("outputs of " + std::to_string(crc32_.size()) + " of " + std::to_string(inputs_.n) +
                  " samples were added");
    }
    std::map<std::string, std::vector<std::size_t>> shapes;
    for (const auto& row : rows_) shapes[row.first] = shape_of(row.first, row.second);
    Zip zip(path);
    zip.add("__samples_sha256__", text(inputs_.samples_sha256));
    zip.add("__crc32__", npy(Values(crc32_), {crc32_.size()}));
    zip.add("__environment__", text(json(environment_)));
    for (const auto& row : rows_) zip.add(row.first, npy(row.second.values, shapes[row.first]));
    zip.close();
  }

 private:
  struct Rows {
    Values values;
    std::size_t samples;
  };

  /// Writes a zip file without compression.
  class Zip {
   public:
    explicit Zip(const std::string& path) : path_(path), file_(path, std::ios::binary | std::ios::trunc) {}

    void add(const std::string& name, const Bytes& data) {
      const std::string entry = name + ".npy";
      // Version 2.0, names in UTF-8, stored, 1 January 1980, checksum, sizes, length of the name, no extra fields.
      Bytes about;
      field(about, 2, 20), field(about, 2, 0x800), field(about, 2, 0), field(about, 2, 0), field(about, 2, 0x21);
      field(about, 4, quantlab::crc32(data.data(), data.size())), field(about, 4, data.size());
      field(about, 4, data.size()), field(about, 2, entry.size()), field(about, 2, 0);
      if (offset_ + central_.size() + data.size() + 65536 >= std::numeric_limits<std::uint32_t>::max()) {
        throw Error("outputs of 4 GB do not fit into one file; run fewer samples");
      }
      field(central_, 4, 0x02014b50), field(central_, 2, 20);
      central_.insert(central_.end(), about.begin(), about.end());
      field(central_, 2, 0), field(central_, 2, 0), field(central_, 2, 0), field(central_, 4, 0);
      field(central_, 4, offset_);
      central_.insert(central_.end(), entry.begin(), entry.end());
      Bytes local;
      field(local, 4, 0x04034b50);
      local.insert(local.end(), about.begin(), about.end());
      local.insert(local.end(), entry.begin(), entry.end());
      put(local);
      put(data);
      offset_ += local.size() + data.size();
      ++count_;
    }

    void close() {
      Bytes end;
      field(end, 4, 0x06054b50), field(end, 2, 0), field(end, 2, 0), field(end, 2, count_), field(end, 2, count_);
      field(end, 4, central_.size()), field(end, 4, offset_), field(end, 2, 0);
      put(central_);
      put(end);
      file_.close();
      if (!file_) throw Error(path_ + " cannot be written");
    }

   private:
    std::string path_;
    std::ofstream file_;
    Bytes central_;
    std::size_t offset_ = 0, count_ = 0;

    void put(const Bytes& bytes) {
      file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }

    /// A little-endian integer of `size` bytes.
    static void field(Bytes& bytes, int size, std::uint64_t value) {
      for (int byte = 0; byte < size; ++byte) bytes.push_back(static_cast<unsigned char>(value >> (8 * byte)));
    }
  };

  const Inputs& inputs_;
  std::map<std::string, std::string> environment_;
  std::vector<std::uint32_t> crc32_;
  std::map<std::string, Rows> rows_;

  void add_rows(const std::string& name, const Values& given, std::size_t count) {
    const auto made = rows_.emplace(name, Rows{Values(static_cast<const char*>(nullptr), 0), 0});
    Rows& rows = made.first->second;
    if (made.second) {
      rows.values.descr = given.descr;
      rows.values.size = given.size;
    }
    if (rows.values.descr != given.descr) throw Error("the output '" + name + "' changed its data type");
    if ((given.data.size() / given.size) % count) {
      throw Error(std::to_string(given.data.size() / given.size) + " values of '" + name + "' for " +
                  std::to_string(count) + " samples");
    }
    rows.values.data.insert(rows.values.data.end(), given.data.begin(), given.data.end());
    rows.samples += count;
  }

  /// The shape that the model says, if it fits; else all values of a sample in a row.
  std::vector<std::size_t> shape_of(const std::string& name, const Rows& rows) const {
    const std::size_t values = rows.values.data.size() / rows.values.size;
    if (rows.samples != inputs_.n || (inputs_.n && values % inputs_.n)) {
      throw Error("the output '" + name + "' was not added for each sample, or has other sizes in some");
    }
    const std::size_t each = inputs_.n ? values / inputs_.n : 0;
    for (const Port& output : inputs_.outputs) {
      std::vector<std::size_t> shape{inputs_.n};
      std::size_t product = 1;
      for (const std::int64_t size : output.shape) {
        if (size < 0) break;
        product *= static_cast<std::size_t>(size);
        shape.push_back(static_cast<std::size_t>(size));
      }
      if (output.name == name && shape.size() == output.shape.size() + 1 && product == each) return shape;
    }
    return {inputs_.n, each};
  }

  static Bytes text(const std::string& value) {
    return npy(Values(reinterpret_cast<const unsigned char*>(value.data()), value.size()), {value.size()});
  }

  /// A .npy file of version 1: a magic word, a header that is padded to 64 bytes, and the values.
  static Bytes npy(const Values& values, const std::vector<std::size_t>& shape) {
    std::string header = "{'descr': '" + values.descr + "', 'fortran_order': False, 'shape': (";
    for (const std::size_t size : shape) header += std::to_string(size) + ",";
    header += "), }";
    while ((10 + header.size() + 1) % 64) header += ' ';
    header += '\n';
    Bytes made{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    made.push_back(static_cast<unsigned char>(header.size() & 0xff));
    made.push_back(static_cast<unsigned char>(header.size() >> 8));
    made.insert(made.end(), header.begin(), header.end());
    made.insert(made.end(), values.data.begin(), values.data.end());
    return made;
  }

  static std::string json(const std::map<std::string, std::string>& facts) {
    std::string made = "{";
    for (const auto& fact : facts) {
      made += (made.size() > 1 ? ", " : "") + quoted(fact.first) + ": " + quoted(fact.second);
    }
    return made + "}";
  }

  static std::string quoted(const std::string& text) {
    static const char digits[] = "0123456789abcdef";
    std::string made = "\"";
    for (const char letter : text) {
      const auto code = static_cast<unsigned char>(letter);
      if (code < 0x20) {
        made += std::string("\\u00") + digits[code >> 4] + digits[code & 15];
      } else {
        if (letter == '"' || letter == '\\') made += '\\';
        made += letter;
      }
    }
    return made + "\"";
  }
};

}  // namespace quantlab

#endif  // QUANTLAB_DUMP_HPP
