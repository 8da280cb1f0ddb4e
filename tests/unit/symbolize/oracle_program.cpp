// Deeply inlined C++ as people write it: containers, algorithms, lambdas, exceptions, regular
// expressions. Compiled by the oracle test in several forms; what it computes does not matter.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace oracle
{

template <int Size> struct Key {
    int values[Size] = {};
    std::string text;
    bool operator<(const Key &other) const
    {
        return text < other.text;
    }
    bool operator==(const Key &other) const
    {
        return text == other.text;
    }
};

struct Hash {
    template <class Anything> std::size_t operator()(const Anything &key) const
    {
        return std::hash<std::string>()(key.text);
    }
};

namespace
{
template <int Size> std::size_t fill(int count)
{
    std::map<Key<Size>, std::vector<std::string>> sorted;
    std::unordered_map<Key<Size + 1>, std::shared_ptr<std::string>, Hash> hashed;
    std::vector<std::function<int(int)>> functions;
    for (int i = 0; i < count; i++) {
        Key<Size> key;
        key.text = std::to_string(i);
        sorted[key].emplace_back(static_cast<std::size_t>(i), 'x');
        Key<Size + 1> other;
        other.text = key.text + "+";
        hashed[other] = std::make_shared<std::string>(other.text);
        functions.emplace_back([i, &sorted](int value) {
            auto inner = [&](int more) { return more * i + static_cast<int>(sorted.size()); };
            return inner(value) + inner(value + 1);
        });
    }
    std::vector<Key<Size + 1>> keys;
    for (const auto &entry : hashed) {
        keys.push_back(entry.first);
    }
    std::sort(keys.begin(), keys.end(), [](auto &a, auto &b) { return a.text > b.text; });
    std::ostringstream out;
    std::regex pattern("(1+|2*)\\+?");
    for (const auto &key : keys) {
        if (std::regex_search(key.text, pattern)) {
            out << key.text;
        }
    }
    std::size_t sum = out.str().size();
    for (auto &function : functions) {
        sum += static_cast<std::size_t>(function(count));
    }
    if (sum == 42) {
        throw std::runtime_error("forty-two");
    }
    return sum;
}
} // namespace

} // namespace oracle

int main(int argc, char **)
{
    try {
        return static_cast<int>(oracle::fill<1>(argc) + oracle::fill<4>(argc)
                                + oracle::fill<9>(argc))
               & 1;
    } catch (const std::exception &error) {
        return static_cast<int>(std::string(error.what()).size());
    }
}
