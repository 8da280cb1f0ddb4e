// One of the many units of large_debug.sh: some standard templates, each in some forms, so that
// a little source makes megabytes of debug information.
#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

template <int N> struct level
{
    std::map<std::string, std::vector<std::array<int, N + 1>>> table;
    std::shared_ptr<level<N - 1>> next = std::make_shared<level<N - 1>>();
    size_t fill(int n)
    {
        table["entry " + std::to_string(n)].resize(static_cast<size_t>(n));
        return table.size() + next->fill(n + N);
    }
};

template <> struct level<0>
{
    std::unordered_map<int, std::variant<int, std::string>> values;
    std::set<std::string> names;
    size_t fill(int n)
    {
        values[n] = std::string(static_cast<size_t>(n) + 40, 'x');
        names.insert(std::to_string(n));
        return values.size() + names.size();
    }
};

} // namespace

extern "C" size_t unit_entry(int n)
{
    auto *top = new level<24>;
    std::regex words("[a-z]+([0-9]*)");
    return std::regex_match("abc12", words) ? top->fill(n % 7 + 1) : 0;
}
