/*
 * winreg.h - the registry of Redox for programs in C, by the names and with the semantics of Win32.
 *
 * Link with -lreg. C89 and later, and C++.
 *
 * Functions come in two forms. Text is UTF-8 in those that end in A, and UTF-16LE in those that end in W, whose characters
 * (WCHAR) have 16 bits: u"text" in C11 and C++11, not L"text". The name without A or W is that of A, or with UNICODE defined
 * that of W. Values of the types REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ and REG_LINK are text: they are stored once, and each
 * form reads and writes them in its own encoding, with the terminators that Windows has. A missing terminator is added when
 * such a value is written; text of an odd number of bytes (W), or that is not UTF-8 (A), is refused.
 *
 * All functions give ERROR_SUCCESS or an error code, and may be called by several threads at once.
 *
 * What differs from Windows:
 * - HKEY_LOCAL_MACHINE is the hive Machine, HKEY_USERS is Users, HKEY_CURRENT_USER is CurrentUser, HKEY_CLASSES_ROOT is
 *   Machine\Software\Classes, and HKEY_CURRENT_CONFIG is Machine\System\CurrentControlSet\Hardware Profiles\Current.
 * - What is written is on disk when the function returns: RegFlushKey has nothing to do.
 * - A key that is deleted while it is open goes on for those who have it open; only keys cannot be made below it
 *   (ERROR_KEY_DELETED).
 * - Keys have no classes: lpClass is not read, and is told as empty.
 * - lpSecurityAttributes with a descriptor is ERROR_NOT_SUPPORTED (use RegSetKeySecurity); KEY_WOW64_... means nothing.
 * - RegNotifyChangeKeyValue only waits: there are no events. RegWatchDescriptor gives a descriptor for poll().
 * - Errors that Windows does not know here: ERROR_NOT_READY when the registry or the hive's source is down or failed, and
 *   ERROR_TIMEOUT when it did not answer in time. Whether a change happened is then unknown.
 */
#ifndef LIBREG_WINREG_H
#define LIBREG_WINREG_H

#include <stddef.h>
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L)
#include <stdint.h>
typedef uint32_t DWORD;
typedef int32_t LONG;
typedef uint16_t WORD;
typedef uintptr_t ULONG_PTR;
#else
typedef unsigned int DWORD;
typedef int LONG;
typedef unsigned short WORD;
typedef size_t ULONG_PTR;
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned char BYTE, *LPBYTE;
typedef int BOOL;
typedef char CHAR, *LPSTR;
typedef const char *LPCSTR;
#if defined(__cplusplus) && __cplusplus >= 201103L
typedef char16_t WCHAR;
#else
typedef WORD WCHAR;
#endif
typedef WCHAR *LPWSTR;
typedef const WCHAR *LPCWSTR;
typedef DWORD *LPDWORD;
typedef LONG LSTATUS;
typedef DWORD REGSAM;
typedef DWORD SECURITY_INFORMATION;
typedef void *HANDLE;
typedef void *PSECURITY_DESCRIPTOR;
typedef struct HKEY__ *HKEY;
typedef HKEY *PHKEY;

typedef struct _FILETIME {
    DWORD dwLowDateTime;  /* 100-nanosecond intervals since 1601 (UTC) */
    DWORD dwHighDateTime;
} FILETIME, *PFILETIME;

typedef struct _SECURITY_ATTRIBUTES {
    DWORD nLength;
    PSECURITY_DESCRIPTOR lpSecurityDescriptor;
    BOOL bInheritHandle;
} SECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;

#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif

#define HKEY_CLASSES_ROOT   ((HKEY)(ULONG_PTR)0x80000000u)
#define HKEY_CURRENT_USER   ((HKEY)(ULONG_PTR)0x80000001u)
#define HKEY_LOCAL_MACHINE  ((HKEY)(ULONG_PTR)0x80000002u)
#define HKEY_USERS          ((HKEY)(ULONG_PTR)0x80000003u)
#define HKEY_CURRENT_CONFIG ((HKEY)(ULONG_PTR)0x80000005u)

#define DELETE                   0x00010000u
#define READ_CONTROL             0x00020000u
#define WRITE_DAC                0x00040000u
#define WRITE_OWNER              0x00080000u
#define ACCESS_SYSTEM_SECURITY   0x01000000u
#define MAXIMUM_ALLOWED          0x02000000u
#define KEY_QUERY_VALUE          0x0001u
#define KEY_SET_VALUE            0x0002u
#define KEY_CREATE_SUB_KEY       0x0004u
#define KEY_ENUMERATE_SUB_KEYS   0x0008u
#define KEY_NOTIFY               0x0010u
#define KEY_CREATE_LINK          0x0020u
#define KEY_WOW64_64KEY          0x0100u
#define KEY_WOW64_32KEY          0x0200u
#define KEY_READ                 0x20019u
#define KEY_EXECUTE              KEY_READ
#define KEY_WRITE                0x20006u
#define KEY_ALL_ACCESS           0xF003Fu

#define REG_OPTION_NON_VOLATILE   0x0u
#define REG_OPTION_VOLATILE       0x1u
#define REG_OPTION_BACKUP_RESTORE 0x4u /* means nothing */
#define REG_OPTION_OPEN_LINK      0x8u /* RegOpenKeyEx: the link itself */

#define REG_CREATED_NEW_KEY     1u
#define REG_OPENED_EXISTING_KEY 2u

#define REG_NONE                       0u
#define REG_SZ                         1u
#define REG_EXPAND_SZ                  2u
#define REG_BINARY                     3u
#define REG_DWORD                      4u
#define REG_DWORD_LITTLE_ENDIAN        4u
#define REG_DWORD_BIG_ENDIAN           5u
#define REG_LINK                       6u
#define REG_MULTI_SZ                   7u
#define REG_RESOURCE_LIST              8u
#define REG_FULL_RESOURCE_DESCRIPTOR   9u
#define REG_RESOURCE_REQUIREMENTS_LIST 10u
#define REG_QWORD                      11u
#define REG_QWORD_LITTLE_ENDIAN        11u

#define REG_NOTIFY_CHANGE_NAME       0x1u /* subkeys */
#define REG_NOTIFY_CHANGE_ATTRIBUTES 0x2u /* means nothing */
#define REG_NOTIFY_CHANGE_LAST_SET   0x4u /* values */
#define REG_NOTIFY_CHANGE_SECURITY   0x8u
#define REG_NOTIFY_THREAD_AGNOSTIC   0x10000000u /* means nothing */

#define OWNER_SECURITY_INFORMATION 0x1u
#define GROUP_SECURITY_INFORMATION 0x2u
#define DACL_SECURITY_INFORMATION  0x4u
#define SACL_SECURITY_INFORMATION  0x8u

#define ERROR_SUCCESS                  0
#define ERROR_FILE_NOT_FOUND           2
#define ERROR_TOO_MANY_OPEN_FILES      4
#define ERROR_ACCESS_DENIED            5
#define ERROR_INVALID_HANDLE           6
#define ERROR_NOT_ENOUGH_MEMORY        8
#define ERROR_INVALID_DATA             13
#define ERROR_WRITE_PROTECT            19
#define ERROR_NOT_READY                21
#define ERROR_NOT_SUPPORTED            50
#define ERROR_INVALID_PARAMETER        87
#define ERROR_DISK_FULL                112
#define ERROR_INSUFFICIENT_BUFFER      122
#define ERROR_BUSY                     170
#define ERROR_ALREADY_EXISTS           183
#define ERROR_FILENAME_EXCED_RANGE     206
#define ERROR_MORE_DATA                234
#define ERROR_NO_MORE_ITEMS            259
#define ERROR_KEY_DELETED              1018
#define ERROR_NO_UNICODE_TRANSLATION   1113
#define ERROR_INVALID_SECURITY_DESCR   1338
#define ERROR_INTERNAL_ERROR           1359
#define ERROR_TIMEOUT                  1460
#define ERROR_TRANSACTIONAL_CONFLICT   6800

/*
 * Opens a key below hKey; without lpSubKey (NULL or empty), hKey itself once more. Names are separated by \, and / is part
 * of a name. All rights of samDesired are granted, or ERROR_ACCESS_DENIED.
 */
LSTATUS RegOpenKeyExA(HKEY hKey, LPCSTR lpSubKey, DWORD ulOptions, REGSAM samDesired, PHKEY phkResult);
LSTATUS RegOpenKeyExW(HKEY hKey, LPCWSTR lpSubKey, DWORD ulOptions, REGSAM samDesired, PHKEY phkResult);

/*
 * Makes a key and those that lead to it, or opens it; lpdwDisposition tells which. dwOptions: REG_OPTION_VOLATILE is a key
 * that lives until the hive's source ends.
 */
LSTATUS RegCreateKeyExA(HKEY hKey, LPCSTR lpSubKey, DWORD Reserved, LPCSTR lpClass, DWORD dwOptions,
                        REGSAM samDesired, const SECURITY_ATTRIBUTES *lpSecurityAttributes, PHKEY phkResult,
                        LPDWORD lpdwDisposition);
LSTATUS RegCreateKeyExW(HKEY hKey, LPCWSTR lpSubKey, DWORD Reserved, LPCWSTR lpClass, DWORD dwOptions,
                        REGSAM samDesired, const SECURITY_ATTRIBUTES *lpSecurityAttributes, PHKEY phkResult,
                        LPDWORD lpdwDisposition);

/* Closes a key. ERROR_INVALID_HANDLE: it is closed already. The HKEY_ constants are always open. */
LSTATUS RegCloseKey(HKEY hKey);

/*
 * Reads a value; without lpValueName (NULL or empty), the default value. *lpcbData is the room in lpData, in bytes, and
 * then the size of the data. Without lpData the size is told. If there is not room enough: ERROR_MORE_DATA, the size and the
 * type are told, and lpData is as it was. lpData without lpcbData is ERROR_INVALID_PARAMETER.
 */
LSTATUS RegQueryValueExA(HKEY hKey, LPCSTR lpValueName, LPDWORD lpReserved, LPDWORD lpType, LPBYTE lpData,
                         LPDWORD lpcbData);
LSTATUS RegQueryValueExW(HKEY hKey, LPCWSTR lpValueName, LPDWORD lpReserved, LPDWORD lpType, LPBYTE lpData,
                         LPDWORD lpcbData);

/* Writes a value, durably. */
LSTATUS RegSetValueExA(HKEY hKey, LPCSTR lpValueName, DWORD Reserved, DWORD dwType, const BYTE *lpData,
                       DWORD cbData);
LSTATUS RegSetValueExW(HKEY hKey, LPCWSTR lpValueName, DWORD Reserved, DWORD dwType, const BYTE *lpData,
                       DWORD cbData);

/*
 * Tells the name of a subkey. *lpcchName is the room in lpName, in characters with the NUL, and then the length without it.
 * ERROR_MORE_DATA: there is not room enough, and nothing was written. ERROR_NO_MORE_ITEMS: dwIndex is behind the last one.
 * Subkeys are listed at index 0, in the order of their names, and what is made or deleted after that is not seen before
 * index 0 is asked for again on this handle.
 */
LSTATUS RegEnumKeyExA(HKEY hKey, DWORD dwIndex, LPSTR lpName, LPDWORD lpcchName, LPDWORD lpReserved, LPSTR lpClass,
                      LPDWORD lpcchClass, PFILETIME lpftLastWriteTime);
LSTATUS RegEnumKeyExW(HKEY hKey, DWORD dwIndex, LPWSTR lpName, LPDWORD lpcchName, LPDWORD lpReserved, LPWSTR lpClass,
                      LPDWORD lpcchClass, PFILETIME lpftLastWriteTime);

/* Tells a value: its name as RegEnumKeyEx does, its type and data as RegQueryValueEx does. */
LSTATUS RegEnumValueA(HKEY hKey, DWORD dwIndex, LPSTR lpValueName, LPDWORD lpcchValueName, LPDWORD lpReserved,
                      LPDWORD lpType, LPBYTE lpData, LPDWORD lpcbData);
LSTATUS RegEnumValueW(HKEY hKey, DWORD dwIndex, LPWSTR lpValueName, LPDWORD lpcchValueName, LPDWORD lpReserved,
                      LPDWORD lpType, LPBYTE lpData, LPDWORD lpcbData);

/* Deletes a key. ERROR_ACCESS_DENIED: you may not, or there are keys below it. samDesired means nothing. */
LSTATUS RegDeleteKeyA(HKEY hKey, LPCSTR lpSubKey);
LSTATUS RegDeleteKeyW(HKEY hKey, LPCWSTR lpSubKey);
LSTATUS RegDeleteKeyExA(HKEY hKey, LPCSTR lpSubKey, REGSAM samDesired, DWORD Reserved);
LSTATUS RegDeleteKeyExW(HKEY hKey, LPCWSTR lpSubKey, REGSAM samDesired, DWORD Reserved);

/* Deletes a key and all below it, or, without lpSubKey, all that is in hKey: all of it, or nothing. */
LSTATUS RegDeleteTreeA(HKEY hKey, LPCSTR lpSubKey);
LSTATUS RegDeleteTreeW(HKEY hKey, LPCWSTR lpSubKey);

/* Deletes a value. */
LSTATUS RegDeleteValueA(HKEY hKey, LPCSTR lpValueName);
LSTATUS RegDeleteValueW(HKEY hKey, LPCWSTR lpValueName);

/*
 * Tells how much is in a key. Lengths of names are in characters without NUL, sizes in bytes, and both are those that this
 * form would tell. Each pointer may be NULL. It takes KEY_READ.
 */
LSTATUS RegQueryInfoKeyA(HKEY hKey, LPSTR lpClass, LPDWORD lpcchClass, LPDWORD lpReserved, LPDWORD lpcSubKeys,
                         LPDWORD lpcbMaxSubKeyLen, LPDWORD lpcbMaxClassLen, LPDWORD lpcValues,
                         LPDWORD lpcbMaxValueNameLen, LPDWORD lpcbMaxValueLen, LPDWORD lpcbSecurityDescriptor,
                         PFILETIME lpftLastWriteTime);
LSTATUS RegQueryInfoKeyW(HKEY hKey, LPWSTR lpClass, LPDWORD lpcchClass, LPDWORD lpReserved, LPDWORD lpcSubKeys,
                         LPDWORD lpcbMaxSubKeyLen, LPDWORD lpcbMaxClassLen, LPDWORD lpcValues,
                         LPDWORD lpcbMaxValueNameLen, LPDWORD lpcbMaxValueLen, LPDWORD lpcbSecurityDescriptor,
                         PFILETIME lpftLastWriteTime);

/* Does nothing but look whether the key is open: all that was written is on disk. */
LSTATUS RegFlushKey(HKEY hKey);

/*
 * Waits until something has changed since this was first called on this handle, or since it last returned. What is watched
 * is what the first call says. hEvent must be NULL and fAsynchronous FALSE, else ERROR_NOT_SUPPORTED. While it waits,
 * other functions can use the handle, but not this one.
 */
LSTATUS RegNotifyChangeKeyValue(HKEY hKey, BOOL bWatchSubtree, DWORD dwNotifyFilter, HANDLE hEvent,
                                BOOL fAsynchronous);

/*
 * Not in Win32. Watches as RegNotifyChangeKeyValue does, without waiting, and gives a descriptor that poll() finds readable
 * when something has changed; RegNotifyChangeKeyValue then returns at once. It is closed with the key. Do not read from it.
 */
LSTATUS RegWatchDescriptor(HKEY hKey, BOOL bWatchSubtree, DWORD dwNotifyFilter, int *pDescriptor);

/*
 * Reads parts of the security descriptor, self-relative ([MS-DTYP] 2.4.6). ERROR_INSUFFICIENT_BUFFER: there is not room
 * enough, or pSecurityDescriptor is NULL; *lpcbSecurityDescriptor is the size.
 */
LSTATUS RegGetKeySecurity(HKEY hKey, SECURITY_INFORMATION SecurityInformation,
                          PSECURITY_DESCRIPTOR pSecurityDescriptor, LPDWORD lpcbSecurityDescriptor);

/* Replaces parts of the security descriptor; pSecurityDescriptor must be self-relative. */
LSTATUS RegSetKeySecurity(HKEY hKey, SECURITY_INFORMATION SecurityInformation,
                          PSECURITY_DESCRIPTOR pSecurityDescriptor);

#ifdef UNICODE
#define RegOpenKeyEx RegOpenKeyExW
#define RegCreateKeyEx RegCreateKeyExW
#define RegQueryValueEx RegQueryValueExW
#define RegSetValueEx RegSetValueExW
#define RegEnumKeyEx RegEnumKeyExW
#define RegEnumValue RegEnumValueW
#define RegDeleteKey RegDeleteKeyW
#define RegDeleteKeyEx RegDeleteKeyExW
#define RegDeleteTree RegDeleteTreeW
#define RegDeleteValue RegDeleteValueW
#define RegQueryInfoKey RegQueryInfoKeyW
#else
#define RegOpenKeyEx RegOpenKeyExA
#define RegCreateKeyEx RegCreateKeyExA
#define RegQueryValueEx RegQueryValueExA
#define RegSetValueEx RegSetValueExA
#define RegEnumKeyEx RegEnumKeyExA
#define RegEnumValue RegEnumValueA
#define RegDeleteKey RegDeleteKeyA
#define RegDeleteKeyEx RegDeleteKeyExA
#define RegDeleteTree RegDeleteTreeA
#define RegDeleteValue RegDeleteValueA
#define RegQueryInfoKey RegQueryInfoKeyA
#endif

#ifdef __cplusplus
}
#endif

#endif
