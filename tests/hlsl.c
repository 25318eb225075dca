/* Compiles HLSL files on Windows, or under Wine, by the compilers and with the arguments that wgpu takes: FXC
 * (d3dcompiler_47.dll) for shader model 5.1, DXC (dxcompiler.dll) for 6.0 and newer. Both are beside the program.
 *
 *     hlsl.exe LIST
 *
 * LIST is a file of names, one on a line, as 00001.cs_5_1.hlsl. Prints a line for each: the milliseconds, the name, and
 * after `refused`, why the compiler refuses it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <d3dcommon.h>

typedef HRESULT(WINAPI *D3DCompile)(const void *, SIZE_T, const char *, const void *, void *, const char *, const char *,
                                    UINT, UINT, ID3DBlob **, ID3DBlob **);
typedef HRESULT(WINAPI *DxcCreateInstance)(REFIID, REFIID, void **);

/* Of dxcapi.h, which mingw-w64 does not have: the methods in their order, as far as they are called. */
typedef struct Compiler3 Compiler3;
typedef struct Result Result;
typedef struct {
    const void *data;
    SIZE_T size;
    UINT encoding;
} Buffer;
struct Compiler3 {
    struct {
        void *unknown[3];
        HRESULT(WINAPI *compile)(Compiler3 *, const Buffer *, const wchar_t **, UINT, void *, REFIID, void **);
    } *call;
};
struct Result {
    struct {
        void *unknown[3];
        HRESULT(WINAPI *status)(Result *, HRESULT *);
        HRESULT(WINAPI *result)(Result *, ID3DBlob **);
        HRESULT(WINAPI *errors)(Result *, ID3DBlob **);
    } *call;
};
static const GUID DXC_COMPILER = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID DXC_COMPILER3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID DXC_RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};
enum { UTF_8 = 65001, ENABLE_STRICTNESS = 1 << 11 };

static D3DCompile fxc;
static Compiler3 *dxc;

static void *function(const char *library, const char *name) {
    HMODULE module = LoadLibraryA(library);
    void *found = module ? (void *)GetProcAddress(module, name) : NULL;
    if (!found) {
        fprintf(stderr, "%s has no %s\n", library, name);
        exit(2);
    }
    return found;
}

static HRESULT compile_dxc(const char *text, SIZE_T size, const char *profile, ID3DBlob **errors) {
    wchar_t wide[8] = {0};
    for (int i = 0; i < 6; i++) wide[i] = profile[i];
    const wchar_t *arguments[] = {L"-E",           L"main", L"-T", wide, L"-HV", L"2018",
                                  L"-no-warnings", L"-Ges", L"-enable-16bit-types"};
    UINT count = strcmp(profile, "cs_6_2") < 0 ? 8 : 9;
    Buffer source = {text, size, UTF_8};
    Result *result = NULL;
    HRESULT status = dxc->call->compile(dxc, &source, arguments, count, NULL, &DXC_RESULT, (void **)&result);
    if (!result) return status ? status : E_FAIL;
    result->call->errors(result, errors);
    result->call->status(result, &status);
    return status;
}

/* The text of a blob on one line. */
static const char *one_line(ID3DBlob *blob) {
    if (!blob) return "without a reason";
    char *text = blob->lpVtbl->GetBufferPointer(blob);
    for (char *at = text; *at; at++) {
        if (*at == '\n' || *at == '\r') *at = ' ';
    }
    return text;
}

static char *contents(const char *name, SIZE_T *size) {
    FILE *file = fopen(name, "rb");
    if (!file) {
        fprintf(stderr, "%s cannot be opened\n", name);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *text = malloc(*size);
    *size = fread(text, 1, *size, file);
    fclose(file);
    return text;
}

int main(int count, char **arguments) {
    fxc = (D3DCompile)function("d3dcompiler_47.dll", "D3DCompile");
    DxcCreateInstance create = (DxcCreateInstance)function("dxcompiler.dll", "DxcCreateInstance");
    FILE *list = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (!list || create(&DXC_COMPILER, &DXC_COMPILER3, (void **)&dxc)) return 2;
    char name[300];
    while (fscanf(list, "%299s", name) == 1) {
        char profile[7] = {0};
        const char *model = strstr(name, "cs_");
        if (!model) return 2;
        memcpy(profile, model, 6);
        SIZE_T size;
        char *text = contents(name, &size);
        ID3DBlob *code = NULL, *errors = NULL;
        DWORD start = GetTickCount();
        HRESULT status = profile[3] == '5' ? fxc(text, size, NULL, NULL, NULL, "main", profile, ENABLE_STRICTNESS, 0, &code, &errors)
                                           : compile_dxc(text, size, profile, &errors);
        printf("%6lu ms %s", GetTickCount() - start, name);
        if (status) printf(" refused: %s", one_line(errors));
        printf("\n");
        fflush(stdout);
        free(text);
    }
    return 0;
}
