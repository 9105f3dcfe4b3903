/* cc tabs.c -I include -L target/release -lreg -o tabs */
#include <stdio.h>
#include <string.h>
#include <winreg.h>

int main(void)
{
    HKEY key;
    DWORD tabs = 4, type, size = sizeof tabs, disposition;
    char greeting[64];
    LSTATUS status;

    status = RegCreateKeyExA(HKEY_CURRENT_USER, "Software\\Editor", 0, NULL, REG_OPTION_NON_VOLATILE,
                             KEY_READ | KEY_WRITE, NULL, &key, &disposition);
    if (status != ERROR_SUCCESS) {
        fprintf(stderr, "error %ld\n", (long)status);
        return 1;
    }
    RegSetValueExA(key, "Tabs", 0, REG_DWORD, (const BYTE *)&tabs, sizeof tabs);
    RegSetValueExA(key, "Greeting", 0, REG_SZ, (const BYTE *)"Hello, Redox", sizeof "Hello, Redox");

    tabs = 0;
    if (RegQueryValueExA(key, "Tabs", NULL, &type, (BYTE *)&tabs, &size) == ERROR_SUCCESS && type == REG_DWORD)
        printf("Tabs = %lu\n", (unsigned long)tabs);
    size = sizeof greeting;
    if (RegQueryValueExA(key, "Greeting", NULL, &type, (BYTE *)greeting, &size) == ERROR_SUCCESS)
        printf("Greeting = %s, %lu bytes\n", greeting, (unsigned long)size);
    return RegCloseKey(key) == ERROR_SUCCESS ? 0 : 1;
}
