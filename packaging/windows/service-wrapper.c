/*
 * Stands between the service control manager of Windows and a program that cannot speak with it:
 *
 *     sallyport-service.exe "C:\...\sallyport.exe" agent run --stop-with-input ...
 *
 * - Everything behind its own name is the command line of the program, taken as it is.
 * - The program lives in a job, so it ends when this process ends, however that comes about.
 * - To stop, its standard input is closed: the program then lets its streams end. What has not gone after DRAIN_MS is killed.
 * - Where the program ends by itself, its exit status becomes the service's own error, and the recovery actions apply.
 * - What it says on standard output and standard error goes to the event log: warnings and errors of its log, and what is no
 *   log line. The event source uses the messages of EventCreate.exe (docs/windows.md).
 *
 * It opens no file, no port and no registry key. Built by "npm run package".
 */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE_NAME L"SallyportAgent"
/* The agent needs 5.5 s to let its streams end. */
#define DRAIN_MS 15000
/* How often the control manager hears that stopping goes on. */
#define TICK_MS 1000
/* Longest line that is looked at; the rest of a longer one is dropped. */
#define LINE_BYTES 8192
/* Events a minute; a connector that is refused all the time must not fill the log of the machine. */
#define EVENTS_PER_MINUTE 60
/* EventCreate.exe has the message "%1" for the numbers from 1 to 1000. */
#define EVENT_ID 100

static SERVICE_STATUS_HANDLE status_handle;
static HANDLE stop_event;
static HANDLE event_log;

static void report_state(DWORD state, DWORD error, DWORD own_error, DWORD checkpoint) {
    SERVICE_STATUS status = {0};
    status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    status.dwCurrentState = state;
    status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_PRESHUTDOWN : 0;
    status.dwWin32ExitCode = error;
    status.dwServiceSpecificExitCode = own_error;
    status.dwCheckPoint = checkpoint;
    status.dwWaitHint = state == SERVICE_RUNNING || state == SERVICE_STOPPED ? 0 : 3 * TICK_MS;
    SetServiceStatus(status_handle, &status);
}

static void write_event(WORD type, const wchar_t *text) {
    if (event_log == NULL) return;
    const wchar_t *strings[] = {text};
    ReportEventW(event_log, type, 0, EVENT_ID, NULL, 1, 0, strings, NULL);
}

static void write_failure(const wchar_t *what, DWORD error) {
    wchar_t text[256];
    _snwprintf(text, 255, L"%ls: error %lu of Windows.", what, error);
    text[255] = L'\0';
    write_event(EVENTLOG_ERROR_TYPE, text);
}

/* A log line begins with its level; 40 is a warning, 50 an error. Other lines are told as they are. */
static int event_type_of(const char *line) {
    static const char begin[] = "{\"level\":";
    if (strncmp(line, begin, sizeof begin - 1) != 0) return EVENTLOG_INFORMATION_TYPE;
    int level = atoi(line + sizeof begin - 1);
    if (level >= 50) return EVENTLOG_ERROR_TYPE;
    return level >= 40 ? EVENTLOG_WARNING_TYPE : -1;
}

static void tell_line(char *line, size_t length) {
    static ULONGLONG minute;
    static unsigned told, left_out;
    wchar_t text[LINE_BYTES + 1];
    while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == ' ')) length--;
    line[length] = '\0';
    int type = event_type_of(line);
    if (length == 0 || type == -1) return;
    ULONGLONG now = GetTickCount64() / 60000;
    if (now != minute) {
        if (left_out > 0) {
            _snwprintf(text, LINE_BYTES, L"%u lines were left out: more than %d a minute.", left_out, EVENTS_PER_MINUTE);
            write_event(EVENTLOG_WARNING_TYPE, text);
        }
        minute = now;
        told = left_out = 0;
    }
    if (told >= EVENTS_PER_MINUTE) {
        left_out++;
        return;
    }
    told++;
    int wide = MultiByteToWideChar(CP_UTF8, 0, line, (int)length, text, LINE_BYTES);
    text[wide] = L'\0';
    write_event((WORD)type, text);
}

/* Reads what the program says until it has nothing more to say. */
static DWORD WINAPI read_output(void *pipe) {
    static char line[LINE_BYTES + 1];
    char block[4096];
    size_t length = 0;
    DWORD got;
    while (ReadFile((HANDLE)pipe, block, sizeof block, &got, NULL) && got > 0) {
        for (DWORD i = 0; i < got; i++) {
            if (block[i] == '\n') {
                tell_line(line, length);
                length = 0;
            } else if (length < LINE_BYTES) {
                line[length++] = block[i];
            }
        }
    }
    tell_line(line, length);
    return 0;
}

static DWORD WINAPI on_control(DWORD control, DWORD type, void *data, void *context) {
    (void)type, (void)data, (void)context;
    switch (control) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_PRESHUTDOWN:
        report_state(SERVICE_STOP_PENDING, NO_ERROR, 0, 1);
        SetEvent(stop_event);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

/* The command line behind the first word, which is this program itself (its path may be in quotes). */
static wchar_t *rest_of_command_line(void) {
    wchar_t *at = GetCommandLineW();
    int quoted = 0;
    for (; *at != L'\0' && (quoted || (*at != L' ' && *at != L'\t')); at++) {
        if (*at == L'"') quoted = !quoted;
    }
    while (*at == L' ' || *at == L'\t') at++;
    return at;
}

/* Both ends of a pipe; the program inherits one of them. */
static BOOL make_pipe(HANDLE *ours, HANDLE *theirs, BOOL they_read) {
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    HANDLE read_end, write_end;
    if (!CreatePipe(&read_end, &write_end, &inherited, 0)) return FALSE;
    *ours = they_read ? write_end : read_end;
    *theirs = they_read ? read_end : write_end;
    return SetHandleInformation(*ours, HANDLE_FLAG_INHERIT, 0);
}

static HANDLE make_job(void) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    HANDLE job = CreateJobObjectW(NULL, NULL);
    if (job == NULL) return NULL;
    if (SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits)) return job;
    CloseHandle(job);
    return NULL;
}

/* Starts the program in the job before its first instruction runs. It inherits these two handles and no others. */
static BOOL start_program(HANDLE job, HANDLE input, HANDLE output, PROCESS_INFORMATION *program) {
    STARTUPINFOEXW startup = {0};
    HANDLE inherited[] = {input, output};
    SIZE_T size = 0;
    BOOL started = FALSE;
    startup.StartupInfo.cb = sizeof startup;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = input;
    startup.StartupInfo.hStdOutput = output;
    startup.StartupInfo.hStdError = output;
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    startup.lpAttributeList = malloc(size);
    if (startup.lpAttributeList == NULL) return FALSE;
    if (InitializeProcThreadAttributeList(startup.lpAttributeList, 1, 0, &size)) {
        started = UpdateProcThreadAttribute(startup.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited,
                                            sizeof inherited, NULL, NULL) &&
                  CreateProcessW(NULL, rest_of_command_line(), NULL, NULL, TRUE,
                                 CREATE_SUSPENDED | CREATE_NO_WINDOW | EXTENDED_STARTUPINFO_PRESENT, NULL, NULL,
                                 &startup.StartupInfo, program);
        DWORD error = GetLastError();
        DeleteProcThreadAttributeList(startup.lpAttributeList);
        SetLastError(error);
    }
    free(startup.lpAttributeList);
    if (!started) return FALSE;
    if (AssignProcessToJobObject(job, program->hProcess) && ResumeThread(program->hThread) != (DWORD)-1) return TRUE;
    TerminateProcess(program->hProcess, 1);
    return FALSE;
}

/* Waits until the program has ended, by itself or because it was told to. TRUE where it was told. */
static BOOL wait_for_end(HANDLE process, HANDLE job, HANDLE *input) {
    HANDLE either[] = {process, stop_event};
    if (WaitForMultipleObjects(2, either, FALSE, INFINITE) != WAIT_OBJECT_0 + 1) return FALSE;
    CloseHandle(*input);
    *input = NULL;
    for (DWORD waited = 0, checkpoint = 2; waited < DRAIN_MS; waited += TICK_MS, checkpoint++) {
        if (WaitForSingleObject(process, TICK_MS) == WAIT_OBJECT_0) return TRUE;
        report_state(SERVICE_STOP_PENDING, NO_ERROR, 0, checkpoint);
    }
    write_event(EVENTLOG_WARNING_TYPE, L"The agent did not end in time and is killed.");
    TerminateJobObject(job, 1);
    WaitForSingleObject(process, TICK_MS);
    return TRUE;
}

static void fail_to_start(const wchar_t *what) {
    DWORD error = GetLastError();
    write_failure(what, error);
    report_state(SERVICE_STOPPED, error == NO_ERROR ? ERROR_GEN_FAILURE : error, 0, 0);
}

static void run_service(void) {
    HANDLE job = make_job(), input, their_input, output, their_output, reader;
    PROCESS_INFORMATION program = {0};
    DWORD exit_code = 1;
    if (job == NULL) return fail_to_start(L"Cannot make a job");
    if (!make_pipe(&input, &their_input, TRUE) || !make_pipe(&output, &their_output, FALSE)) {
        return fail_to_start(L"Cannot make a pipe");
    }
    if (!start_program(job, their_input, their_output, &program)) return fail_to_start(L"Cannot start the agent");
    CloseHandle(their_input);
    CloseHandle(their_output);
    CloseHandle(program.hThread);
    reader = CreateThread(NULL, 0, read_output, output, 0, NULL);
    report_state(SERVICE_RUNNING, NO_ERROR, 0, 0);

    BOOL was_told = wait_for_end(program.hProcess, job, &input);
    GetExitCodeProcess(program.hProcess, &exit_code);
    /* Its last words; a grandchild that still holds the pipe must not hold up the end. */
    if (reader != NULL) WaitForSingleObject(reader, TICK_MS);
    if (was_told) {
        report_state(SERVICE_STOPPED, NO_ERROR, 0, 0);
        return;
    }
    wchar_t text[128];
    _snwprintf(text, 128, L"The agent ended by itself with status %lu.", exit_code);
    write_event(EVENTLOG_ERROR_TYPE, text);
    /* Ending unasked is a failure, whatever the status says. */
    report_state(SERVICE_STOPPED, ERROR_SERVICE_SPECIFIC_ERROR, exit_code == 0 ? 1 : exit_code, 0);
}

static void WINAPI service_main(DWORD argc, wchar_t **argv) {
    (void)argc, (void)argv;
    status_handle = RegisterServiceCtrlHandlerExW(SERVICE_NAME, on_control, NULL);
    if (status_handle == NULL) return;
    event_log = RegisterEventSourceW(NULL, SERVICE_NAME);
    stop_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    report_state(SERVICE_START_PENDING, NO_ERROR, 0, 1);
    if (stop_event == NULL) fail_to_start(L"Cannot make an event");
    else run_service();
}

int wmain(void) {
    SERVICE_TABLE_ENTRYW services[] = {{(wchar_t *)SERVICE_NAME, service_main}, {NULL, NULL}};
    if (*rest_of_command_line() == L'\0' || !StartServiceCtrlDispatcherW(services)) {
        fputs("This program is started by Windows: sallyport agent service install\n", stderr);
        return 2;
    }
    return 0;
}
