/* Every function of winreg.h, and every rule that it states. Prints what is not so, and how many checks there were. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <winreg.h>

static int checks, failures;

#define CHECK(condition) \
    (checks++, (condition) ? (void)0 : (void)(failures++, printf("%s:%d: %s\n", __FILE__, __LINE__, #condition)))

#define IS(code, call) \
    do { \
        LSTATUS status_ = (call); \
        checks++; \
        if (status_ != (code)) { \
            failures++; \
            printf("%s:%d: %s: %ld, not %ld\n", __FILE__, __LINE__, #call, (long)status_, (long)(code)); \
        } \
    } while (0)

#define NUMBER_OF(array) ((DWORD)(sizeof (array) / sizeof *(array)))

static void keys(void)
{
    HKEY key, again, closed;
    DWORD disposition = 0;
    SECURITY_ATTRIBUTES attributes;

    IS(ERROR_FILE_NOT_FOUND, RegOpenKeyExA(HKEY_CURRENT_USER, "Sample", 0, KEY_READ, &key));
    IS(ERROR_SUCCESS, RegCreateKeyExA(HKEY_CURRENT_USER, "Sample\\One\\Two", 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key,
                                      &disposition));
    CHECK(disposition == REG_CREATED_NEW_KEY);
    IS(ERROR_SUCCESS, RegCreateKeyExW(HKEY_CURRENT_USER, u"sample\\ONE\\two", 0, NULL, 0, KEY_READ, NULL, &again,
                                      &disposition));
    CHECK(disposition == REG_OPENED_EXISTING_KEY);
    CHECK(key != again);
    closed = again;
    IS(ERROR_SUCCESS, RegCloseKey(again));
    IS(ERROR_INVALID_HANDLE, RegCloseKey(closed));
    IS(ERROR_INVALID_HANDLE, RegFlushKey(closed));
    IS(ERROR_INVALID_HANDLE, RegFlushKey(NULL));
    IS(ERROR_SUCCESS, RegOpenKeyExA(key, NULL, 0, KEY_READ, &again));
    IS(ERROR_SUCCESS, RegCloseKey(again));
    IS(ERROR_SUCCESS, RegOpenKeyExW(key, u"", 0, KEY_READ | KEY_WOW64_64KEY, &again));
    IS(ERROR_SUCCESS, RegFlushKey(again));
    IS(ERROR_SUCCESS, RegCloseKey(again));
    IS(ERROR_INVALID_PARAMETER, RegOpenKeyExA(key, "x", 0, KEY_READ, NULL));
    IS(ERROR_INVALID_PARAMETER, RegCreateKeyExA(key, NULL, 0, NULL, 0, KEY_READ, NULL, &again, NULL));
    IS(ERROR_INVALID_PARAMETER, RegCreateKeyExA(key, "x", 1, NULL, 0, KEY_READ, NULL, &again, NULL));
    memset(&attributes, 0, sizeof attributes);
    attributes.nLength = sizeof attributes;
    IS(ERROR_SUCCESS, RegCreateKeyExA(key, "Volatile", 0, NULL, REG_OPTION_VOLATILE, KEY_READ, &attributes, &again, NULL));
    IS(ERROR_ACCESS_DENIED, RegSetValueExA(again, "x", 0, REG_DWORD, (const BYTE *)&disposition, 4));
    IS(ERROR_SUCCESS, RegCloseKey(again));
    attributes.lpSecurityDescriptor = &attributes;
    IS(ERROR_NOT_SUPPORTED, RegCreateKeyExA(key, "x", 0, NULL, 0, KEY_READ, &attributes, &again, NULL));
    IS(ERROR_NO_UNICODE_TRANSLATION, RegOpenKeyExA(key, "\xFF", 0, KEY_READ, &again));
    /* A name with / in it is one name. */
    IS(ERROR_SUCCESS, RegCreateKeyExA(key, "TCP/IP", 0, NULL, 0, KEY_READ, NULL, &again, NULL));
    IS(ERROR_SUCCESS, RegCloseKey(again));
    IS(ERROR_FILE_NOT_FOUND, RegOpenKeyExA(key, "TCP\\IP", 0, KEY_READ, &again));
    IS(ERROR_SUCCESS, RegCloseKey(key));
    IS(ERROR_SUCCESS, RegCloseKey(HKEY_CURRENT_USER));
    IS(ERROR_SUCCESS, RegFlushKey(HKEY_CURRENT_USER));
}

static void values(HKEY key)
{
    static const WCHAR wide[] = u"Gr\u00FC\u00DFe";
    static const char list[] = "one\0two\0";
    BYTE data[64];
    DWORD type, size, number = 42;

    IS(ERROR_SUCCESS, RegSetValueExW(key, u"text", 0, REG_SZ, (const BYTE *)wide, sizeof wide));
    /* The same in the other form. */
    size = sizeof data;
    IS(ERROR_SUCCESS, RegQueryValueExA(key, "TEXT", NULL, &type, data, &size));
    CHECK(type == REG_SZ && size == 8 && memcmp(data, "Gr\xC3\xBC\xC3\x9F" "e", 8) == 0);
    size = sizeof data;
    IS(ERROR_SUCCESS, RegQueryValueExW(key, u"text", NULL, NULL, data, &size));
    CHECK(size == sizeof wide && memcmp(data, wide, size) == 0);

    /* Sizes. */
    size = 0;
    IS(ERROR_SUCCESS, RegQueryValueExA(key, "text", NULL, NULL, NULL, &size));
    CHECK(size == 8);
    IS(ERROR_SUCCESS, RegQueryValueExA(key, "text", NULL, &type, NULL, NULL));
    data[0] = 'x';
    size = 7;
    type = 99;
    IS(ERROR_MORE_DATA, RegQueryValueExA(key, "text", NULL, &type, data, &size));
    CHECK(size == 8 && type == REG_SZ && data[0] == 'x');
    IS(ERROR_SUCCESS, RegQueryValueExA(key, "text", NULL, &type, data, &size));
    IS(ERROR_INVALID_PARAMETER, RegQueryValueExA(key, "text", NULL, &type, data, NULL));
    IS(ERROR_INVALID_PARAMETER, RegQueryValueExA(key, "text", &number, &type, data, &size));
    IS(ERROR_FILE_NOT_FOUND, RegQueryValueExA(key, "missing", NULL, NULL, NULL, &size));

    /* The default value, a missing terminator, lists, numbers, bytes. */
    IS(ERROR_SUCCESS, RegSetValueExA(key, NULL, 0, REG_SZ, (const BYTE *)"default", 7));
    size = sizeof data;
    IS(ERROR_SUCCESS, RegQueryValueExA(key, "", NULL, NULL, data, &size));
    CHECK(size == 8 && strcmp((char *)data, "default") == 0);
    IS(ERROR_SUCCESS, RegSetValueExA(key, "list", 0, REG_MULTI_SZ, (const BYTE *)list, sizeof list));
    size = sizeof data;
    IS(ERROR_SUCCESS, RegQueryValueExW(key, u"list", NULL, &type, data, &size));
    CHECK(type == REG_MULTI_SZ && size == 18 && memcmp(data, u"one\0two\0", 18) == 0);
    IS(ERROR_SUCCESS, RegSetValueExA(key, "number", 0, REG_DWORD, (const BYTE *)&number, sizeof number));
    number = 0;
    size = sizeof number;
    IS(ERROR_SUCCESS, RegQueryValueExW(key, u"number", NULL, &type, (BYTE *)&number, &size));
    CHECK(number == 42 && type == REG_DWORD);
    IS(ERROR_SUCCESS, RegSetValueExA(key, "empty", 0, REG_BINARY, NULL, 0));
    size = 1;
    IS(ERROR_SUCCESS, RegQueryValueExA(key, "empty", NULL, &type, data, &size));
    CHECK(size == 0 && type == REG_BINARY);
    IS(ERROR_INVALID_PARAMETER, RegSetValueExA(key, "x", 0, REG_BINARY, NULL, 1));
    IS(ERROR_INVALID_PARAMETER, RegSetValueExA(key, "x", 0, 12345, data, 1));
    IS(ERROR_INVALID_PARAMETER, RegSetValueExW(key, u"x", 0, REG_SZ, data, 3));
    IS(ERROR_NO_UNICODE_TRANSLATION, RegSetValueExA(key, "x", 0, REG_SZ, (const BYTE *)"\xFF", 2));
    IS(ERROR_FILE_NOT_FOUND, RegDeleteValueW(key, u"x"));
    IS(ERROR_SUCCESS, RegDeleteValueA(key, "empty"));
    IS(ERROR_FILE_NOT_FOUND, RegDeleteValueA(key, "empty"));
}

static void listings(HKEY key)
{
    char name[8];
    WCHAR wide[8];
    BYTE data[64];
    DWORD length, size, type, index, count;
    FILETIME written;
    HKEY sub;

    IS(ERROR_SUCCESS, RegCreateKeyExW(key, u"\u00C4", 0, NULL, 0, KEY_READ, NULL, &sub, NULL));
    IS(ERROR_SUCCESS, RegCloseKey(sub));
    length = sizeof name;
    IS(ERROR_SUCCESS, RegEnumKeyExA(key, 0, name, &length, NULL, NULL, NULL, &written));
    CHECK(length == 3 && strcmp(name, "One") == 0 && written.dwHighDateTime > 0x01D00000);
    length = NUMBER_OF(wide);
    IS(ERROR_SUCCESS, RegEnumKeyExW(key, 1, wide, &length, NULL, NULL, NULL, NULL));
    CHECK(length == 1 && wide[0] == 0xC4 && wide[1] == 0);
    length = sizeof name;
    IS(ERROR_NO_MORE_ITEMS, RegEnumKeyExA(key, 2, name, &length, NULL, NULL, NULL, NULL));
    /* Room for the NUL, too. */
    name[0] = 'x';
    length = 3;
    IS(ERROR_MORE_DATA, RegEnumKeyExA(key, 0, name, &length, NULL, NULL, NULL, NULL));
    CHECK(length == 3 && name[0] == 'x');
    length = 4;
    size = sizeof data;
    IS(ERROR_SUCCESS, RegEnumKeyExA(key, 0, name, &length, NULL, (char *)data, &size, NULL));
    CHECK(size == 0 && data[0] == 0);
    IS(ERROR_INVALID_PARAMETER, RegEnumKeyExA(key, 0, NULL, &length, NULL, NULL, NULL, NULL));
    IS(ERROR_INVALID_PARAMETER, RegEnumKeyExA(key, 0, name, NULL, NULL, NULL, NULL, NULL));
    IS(ERROR_INVALID_PARAMETER, RegEnumKeyExA(key, 0, name, &length, NULL, (char *)data, NULL, NULL));

    count = 0;
    for (index = 0;; index++) {
        LSTATUS status;
        length = sizeof name;
        size = sizeof data;
        status = RegEnumValueA(key, index, name, &length, NULL, &type, data, &size);
        if (status == ERROR_NO_MORE_ITEMS)
            break;
        IS(ERROR_SUCCESS, status);
        CHECK(strlen(name) == length);
        if (strcmp(name, "number") == 0)
            CHECK(type == REG_DWORD && size == 4);
        count++;
    }
    CHECK(count == 4);
    length = sizeof name;
    IS(ERROR_SUCCESS, RegEnumValueA(key, 0, name, &length, NULL, NULL, NULL, NULL));
    CHECK(length == 0);
    length = NUMBER_OF(wide);
    size = 1;
    IS(ERROR_MORE_DATA, RegEnumValueW(key, 0, wide, &length, NULL, &type, data, &size));
    CHECK(size == 16);
    length = 1;
    IS(ERROR_MORE_DATA, RegEnumValueA(key, 1, name, &length, NULL, NULL, NULL, NULL));
    length = sizeof name;
    IS(ERROR_INVALID_PARAMETER, RegEnumValueA(key, 0, name, &length, NULL, NULL, data, NULL));
    IS(ERROR_INVALID_PARAMETER, RegEnumValueA(key, 0, name, NULL, NULL, NULL, NULL, NULL));
}

static void info(HKEY key)
{
    DWORD sub_keys, max_sub_key, max_class, count, max_name, max_value, security, size = 4;
    char class[4];
    FILETIME written;

    IS(ERROR_SUCCESS, RegQueryInfoKeyA(key, class, &size, NULL, &sub_keys, &max_sub_key, &max_class, &count, &max_name,
                                       &max_value, &security, &written));
    CHECK(size == 0 && class[0] == 0 && sub_keys == 2 && max_sub_key == 3 && max_class == 0);
    CHECK(count == 4 && max_name == 6 && max_value == 9 && security > 20);
    IS(ERROR_SUCCESS, RegQueryInfoKeyW(key, NULL, NULL, NULL, NULL, &max_sub_key, NULL, NULL, NULL, &max_value, NULL,
                                       NULL));
    CHECK(max_sub_key == 3 && max_value == 18);
    IS(ERROR_INVALID_PARAMETER, RegQueryInfoKeyA(key, class, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                                                 NULL));
}

static void security(HKEY key)
{
    BYTE sd[512];
    DWORD size = 0, all = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, again;

    IS(ERROR_INSUFFICIENT_BUFFER, RegGetKeySecurity(key, all, NULL, &size));
    CHECK(size > 20 && size <= sizeof sd);
    again = size - 1;
    IS(ERROR_INSUFFICIENT_BUFFER, RegGetKeySecurity(key, all, sd, &again));
    CHECK(again == size);
    IS(ERROR_SUCCESS, RegGetKeySecurity(key, all, sd, &again));
    CHECK(again == size && sd[0] == 1 && (sd[3] & 0x80) != 0);
    IS(ERROR_SUCCESS, RegSetKeySecurity(key, DACL_SECURITY_INFORMATION, sd));
    sd[3] &= 0x7F;
    IS(ERROR_INVALID_SECURITY_DESCR, RegSetKeySecurity(key, DACL_SECURITY_INFORMATION, sd));
    IS(ERROR_INVALID_PARAMETER, RegSetKeySecurity(key, DACL_SECURITY_INFORMATION, NULL));
    IS(ERROR_INVALID_PARAMETER, RegGetKeySecurity(key, all, sd, NULL));
}

static void changes(HKEY key)
{
    struct pollfd watched;
    DWORD number = 7;
    DWORD filter = REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET;

    IS(ERROR_NOT_SUPPORTED, RegNotifyChangeKeyValue(key, TRUE, filter, NULL, TRUE));
    IS(ERROR_INVALID_PARAMETER, RegNotifyChangeKeyValue(key, TRUE, 0, NULL, FALSE));
    IS(ERROR_SUCCESS, RegWatchDescriptor(key, TRUE, filter, &watched.fd));
    watched.events = POLLIN;
    CHECK(poll(&watched, 1, 0) == 0);
    IS(ERROR_SUCCESS, RegSetValueExA(key, "number", 0, REG_DWORD, (const BYTE *)&number, sizeof number));
    CHECK(poll(&watched, 1, 60000) == 1);
    IS(ERROR_SUCCESS, RegNotifyChangeKeyValue(key, TRUE, filter, NULL, FALSE));
    CHECK(poll(&watched, 1, 0) == 0);
    /* What happens between two calls is not lost. */
    IS(ERROR_SUCCESS, RegDeleteValueA(key, "number"));
    IS(ERROR_SUCCESS, RegNotifyChangeKeyValue(key, TRUE, filter, NULL, FALSE));
}

static void deletions(HKEY key)
{
    HKEY gone, below;
    DWORD length = 8;
    char name[8];

    IS(ERROR_ACCESS_DENIED, RegDeleteKeyA(key, "One"));
    IS(ERROR_FILE_NOT_FOUND, RegDeleteKeyW(key, u"Nowhere"));
    IS(ERROR_INVALID_PARAMETER, RegDeleteKeyA(key, NULL));
    IS(ERROR_SUCCESS, RegDeleteKeyExW(key, u"\u00C4", KEY_WOW64_64KEY, 0));
    IS(ERROR_SUCCESS, RegOpenKeyExA(key, "One\\Two", 0, KEY_ALL_ACCESS, &gone));
    IS(ERROR_SUCCESS, RegDeleteTreeA(key, "One"));
    /* As long as it is open it is there, but nothing is below it. */
    IS(ERROR_SUCCESS, RegSetValueExA(gone, "x", 0, REG_SZ, (const BYTE *)"", 1));
    IS(ERROR_NO_MORE_ITEMS, RegEnumKeyExA(gone, 0, name, &length, NULL, NULL, NULL, NULL));
    IS(ERROR_KEY_DELETED, RegCreateKeyExA(gone, "Below", 0, NULL, 0, KEY_READ, NULL, &below, NULL));
    IS(ERROR_SUCCESS, RegCloseKey(gone));
    IS(ERROR_SUCCESS, RegDeleteTreeW(key, NULL));
    length = sizeof name;
    IS(ERROR_NO_MORE_ITEMS, RegEnumKeyExA(key, 0, name, &length, NULL, NULL, NULL, NULL));
    length = sizeof name;
    IS(ERROR_NO_MORE_ITEMS, RegEnumValueA(key, 0, name, &length, NULL, NULL, NULL, NULL));
}

int main(void)
{
    HKEY key;

    keys();
    IS(ERROR_SUCCESS, RegOpenKeyExA(HKEY_CURRENT_USER, "Sample", 0, KEY_ALL_ACCESS, &key));
    values(key);
    listings(key);
    info(key);
    security(key);
    changes(key);
    deletions(key);
    IS(ERROR_SUCCESS, RegSetValueExA(key, "left", 0, REG_SZ, (const BYTE *)"by C", 5));
    IS(ERROR_SUCCESS, RegCloseKey(key));
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
