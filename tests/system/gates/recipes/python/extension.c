/* An extension module that loses a block when it is told to. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

static PyObject *copy(PyObject *self, PyObject *argument)
{
    (void)self;
    const char *text = PyUnicode_AsUTF8(argument);
    char *copied = text != NULL ? strdup(text) : NULL;
    if (copied == NULL) {
        return NULL;
    }
    PyObject *result = PyUnicode_FromString(copied);
    if (strcmp(text, "lose") != 0) {
        free(copied);
    }
    return result;
}

static PyMethodDef methods[] = {{"copy", copy, METH_O, "Copies a text."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "extension", NULL, -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_extension(void)
{
    return PyModule_Create(&module);
}
