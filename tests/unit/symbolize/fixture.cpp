// The code whose names the tests ask for. Each MARK is a symbol in the middle of a known
// place; its truth is in the comment beside it, innermost frame first.
#define MARK(name) __asm__ volatile(".globl mark_" #name "\nmark_" #name ": nop")
#define ALWAYS inline __attribute__((always_inline))
#define NEVER __attribute__((noinline))

namespace fixture
{

struct Buffer {
    template <class T> static ALWAYS int grow(T size)
    {
        MARK(inner); // LINE inner: Buffer::grow<long>, called at LINE call_grow
        return static_cast<int>(size) + 1;
    }
};

static ALWAYS int reserve(int size)
{
    return Buffer::grow<long>(size); // LINE call_grow: in reserve, called at LINE call_reserve
}

NEVER int outer(int size)
{
    int sum = reserve(size); // LINE call_reserve: in outer
    MARK(plain);             // LINE plain
    return sum * 2;
}

// Only ever inlined, so its DIE has no address; the lambda's code is inside that DIE.
static ALWAYS int with_lambda(int factor)
{
    auto multiply = [factor](int value) __attribute__((noinline)) {
        MARK(lambda); // LINE lambda
        return value * factor;
    };
    return multiply(factor) + 1;
}

struct Shape {
    virtual int corners() const;
    virtual int area(int side) const;
};

NEVER int Shape::corners() const
{
    MARK(member); // LINE member
    return 4;
}

int Shape::area(int side) const
{
    struct Local {
        NEVER static int square(int value)
        {
            MARK(local); // LINE local
            return value * value;
        }
    };
    return Local::square(side) + corners() + with_lambda(side);
}

} // namespace fixture

extern "C" NEVER int fixture_c_name(int value)
{
    MARK(c_name); // LINE c_name
    return value + 1;
}

__asm__(".text\n"
        ".globl fixture_assembler\n"
        ".type fixture_assembler, @function\n"
        "fixture_assembler:\n"
        "nop\n"
        "mark_assembler: nop\n"
        "ret\n"
        ".size fixture_assembler, . - fixture_assembler\n"
        ".globl mark_assembler\n");
extern "C" void fixture_assembler();

int fixture_global[4] = {1, 2, 3, 4};

int main(int argc, char **argv)
{
    fixture::Shape shape;
    fixture_assembler();
    return fixture::outer(argc) + shape.area(fixture_global[argc & 3])
           + fixture_c_name(static_cast<int>(argv[0][0])) == 12345678;
}
