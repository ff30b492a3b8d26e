@echo off
rem Appends a line to log.txt, beside this script, and below it a line for each
rem file of a transfer. For Windows; install it as recv.transferComplete.bat
rem (or launch.bat, which has no files).
rem
rem Needs:    nothing
rem Settings: none
rem Exit:     0 written, 1 not written
rem
rem Arguments hold nothing that acts in a batch file: JetStream gives "-" for
rem one that would. File names are safe here because a variable of FOR is not
rem read again; never write them to a variable of SET and expand that.
rem Standard input has "name TAB path" for each file, and each path a drive
rem letter, so FIND passes every line on. With paths like \\server\share say
rem findstr "^" instead, which some emulators of Windows lack.
setlocal DisableDelayedExpansion
chcp 65001 >nul
>>log.txt echo %JETSTREAM_EVENT_TIME% %JETSTREAM_EVENT% %*
if not exist log.txt exit /b 1
if "%JETSTREAM_FILE_LIST%"=="" exit /b 0
for /f "tokens=1,* delims=	" %%a in ('find ":"') do >>log.txt echo   %%a is %%b
exit /b 0
