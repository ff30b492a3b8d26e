@echo off
rem What a batch file gets of an API command, and that standard input has all of it.
>>calls.txt echo [%1] [%2] [%~3] [%4] [%5]
find "request" >> calls.txt
exit /b 7
