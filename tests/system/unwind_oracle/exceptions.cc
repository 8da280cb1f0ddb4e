// unwind_oracle/exceptions.cc - a storm of C++ exceptions: allocation while throwing, in
// destructors during unwinding, in handlers, after them, and in thread_local destructors.
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

struct guard {
    std::vector<int> *log;
    ~guard()
    {
        log->push_back(1);
        std::string text(100, 'x');
        log->push_back(static_cast<int>(text.size()));
    }
};

struct late {
    std::unique_ptr<std::string> text = std::make_unique<std::string>("constructed late");
    ~late()
    {
        std::vector<std::string> more(3, *text + " and destroyed later still");
    }
};

thread_local late at_exit;

__attribute__((noinline)) int descend(int depth, unsigned seed, std::vector<int> *log)
{
    guard here{log};
    if (depth == 0) {
        if (seed % 3 == 0) {
            throw std::runtime_error("thrown from depth with some text " + std::to_string(seed));
        }
        return 1;
    }
    try {
        return descend(depth - 1, seed * 1103515245u + 12345u, log) + 1;
    } catch (const std::runtime_error &error) {
        std::string copy = error.what();
        if ((seed >> 8) % 2 == 0) {
            throw;
        }
        return static_cast<int>(copy.size());
    }
}

int storm(unsigned count)
{
    int sum = static_cast<int>(at_exit.text->size());
    for (unsigned i = 0; i < count; i++) {
        std::vector<int> log;
        try {
            sum += descend(static_cast<int>(i % 14), i * 2654435761u, &log);
        } catch (const std::exception &) {
            log.resize(log.size() + 3);
        }
        sum += static_cast<int>(log.size());
    }
    return sum;
}

} // namespace

int main()
{
    volatile int sum = storm(600);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([] { storm(100); });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    return sum > 0 ? 0 : 1;
}
